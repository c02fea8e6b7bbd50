import unittest

from folkmoot import Example
from folkmoot.testing import Reply, answers, observations, questions, scores

from plugin import {{Name}}

EXAMPLE = Example({"prompt": "The capital of France is", "reference": "Paris"})


class {{Name}}Test(unittest.TestCase):
    def test_asks_once(self):
        asked = questions()
        {{Name}}().ask(EXAMPLE, answers([]), asked)
        {{Name}}().ask(EXAMPLE, answers([Reply(texts=("Paris",))]), asked)
        self.assertEqual([call[:2] for call in asked.asked], [("generate", "The capital of France is")])

    def test_counts_what_begins_right(self):
        plugin, seen, found = {{Name}}(), observations(), scores()
        for said in (" paris, of course", "It is Paris", "Paris", "Rome"):
            plugin.observe(EXAMPLE, answers([Reply(texts=(said,))]), seen)
        plugin.summarize(seen, found)
        self.assertEqual([(score.name, score.value) for score in found.added], [("prefix_match", 0.5)])


if __name__ == "__main__":
    unittest.main()
