"""{{Name}}: the share of answers that begin with the right one, whatever the case."""

from folkmoot import Generation, Metric, ScoreInfo, setting


class {{Name}}(Metric):
    """How often the answer begins with the reference."""

    # As `Authors year, title, address`.
    references = []
    scores = [ScoreInfo("prefix_match", "share of the answers that begin with the reference, 0 to 1")]

    max_tokens: int = setting(16, minimum=1, help="Tokens of an answer at most; 16 by default.")

    def ask(self, example, so_far, questions):
        Generation(self.max_tokens, stop=["\n"]).ask_once(example, so_far, questions)

    def observe(self, example, answers, observations):
        said = answers.texts(0)[0].strip().lower()
        right = any(said.startswith(reference.strip().lower()) for reference in example.references())
        observations.add("right", float(right), 1.0)
        observations.note("answer", said)

    def summarize(self, observations, scores):
        value, error = observations.mean_of("right")
        scores.add("prefix_match", value, True, error)
