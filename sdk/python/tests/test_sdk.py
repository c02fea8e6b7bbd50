"""What the SDK promises, in memory: `python -m unittest discover sdk/python/tests` with sdk/python on the path."""

import json
import math
import random
import struct
import unittest

from folkmoot import Algorithm, Choice, Example, Generation, Metric, Refusal, ScoreInfo, Weighting, f32, setting
from folkmoot import weighted_sum
from folkmoot.testing import answers, dataset, observations, params, questions, round, state, update, updates
from folkmoot.testing import Reply, Score, scores


def nearest(value):
    """By another way than the SDK's."""
    return struct.unpack("<f", struct.pack("<f", value))[0]


class Single(unittest.TestCase):
    def test_operations_round(self):
        draws = random.Random(7)
        for _ in range(2000):
            a, b = nearest(draws.gauss(0, 3)), nearest(draws.gauss(0, 3))
            for found, exact in [
                (f32(a) + b, a + b),
                (a - f32(b), a - b),
                (f32(a) * f32(b), a * b),
                (f32(a) / b, a / b),
                (f32(abs(a)).sqrt(), math.sqrt(abs(a))),
            ]:
                self.assertIsInstance(found, f32)
                self.assertEqual(float(found), nearest(exact))

    def test_literals_are_rounded_first(self):
        self.assertEqual(float(1.0 - f32(0.9)), nearest(1.0 - nearest(0.9)))
        self.assertTrue(f32(0.1) == 0.1 and not f32(0.1) != 0.1 and f32(0.1) <= 0.1)

    def test_edges_are_those_of_ieee_754(self):
        self.assertEqual(f32(1.0) / 0.0, math.inf)
        self.assertEqual(f32(1.0) / -0.0, -math.inf)
        self.assertTrue(math.isnan(f32(0.0) / 0.0))
        self.assertTrue(math.isnan(f32(-1.0).sqrt()))
        self.assertEqual(f32(3e38) * 10.0, math.inf)

    def test_is_written_shortly(self):
        self.assertEqual(f"{f32(0.9)} {f32(1e-3)!r} {f32(0.5):.2f}", "0.9 0.001 0.50")


class Mode(Choice):
    FAST = "fast", "At once."
    SLOW = "slow"


class Many(Algorithm):
    """Everything that a setting
    can be.

    And more of it.
    """

    rate: f32 = setting(0.9, minimum=0.0, below=1.0, help="A rate.")
    count: int = setting(minimum=1, help="Needed.")
    mode: Mode = setting(Mode.FAST)
    maybe: Mode | None = setting(None)
    limit: float | None = setting(None, above=0.0)
    names: list[str] = setting(["a"])
    form: str = setting("x", choices=["x", "y"])

    def aggregate(self, round, global_, updates, state):
        return global_


class Settings(unittest.TestCase):
    def test_the_schema_has_them_all_in_order(self):
        described = json.loads(Many.describe())
        self.assertEqual(described["summary"], "Everything that a setting can be.")
        schema = described["settings"]
        self.assertEqual(list(schema["properties"]), ["rate", "count", "mode", "maybe", "limit", "names", "form"])
        self.assertEqual(schema["required"], ["count"])
        self.assertIs(schema["additionalProperties"], False)
        rate = schema["properties"]["rate"]
        expected = {"description": "A rate.", "type": "number", "format": "float", "minimum": 0.0}
        self.assertEqual(rate, {**expected, "exclusiveMaximum": 1.0, "default": 0.9})
        consts = [{"description": "At once.", "type": "string", "const": "fast"}, {"type": "string", "const": "slow"}]
        self.assertEqual(schema["properties"]["mode"], {"oneOf": consts, "default": "fast"})
        self.assertEqual(schema["properties"]["maybe"], {"anyOf": [{"oneOf": consts}, {"type": "null"}]})
        self.assertEqual(schema["properties"]["limit"]["type"], ["number", "null"])
        self.assertEqual(schema["properties"]["form"]["enum"], ["x", "y"])

    def test_values_are_converted_and_checked(self):
        made = Many(count=2.0, mode="slow", limit=1, rate=0.1)
        self.assertEqual((made.count, made.mode, made.limit, made.maybe), (2, Mode.SLOW, 1.0, None))
        self.assertIsInstance(made.rate, f32)
        for settings, words in [
            ({}, "setting `count` is missing"),
            ({"count": 0}, "`count` is 0, it must be at least 1"),
            ({"count": 1, "rate": 1.0}, "`rate` is 1.0, it must be below 1.0"),
            ({"count": 1, "mode": "quick"}, "`mode` is `quick`, it must be `fast` or `slow`"),
            ({"count": 1, "form": "z"}, "`form` is `z`, it must be `x` or `y`"),
            ({"count": True}, "`count` is True, not of type `int`"),
            ({"count": 1, "cuont": 1}, "setting `cuont` is unknown; known: rate, count"),
        ]:
            with self.assertRaises(Refusal) as refused:
                Many(**settings)
            self.assertTrue(str(refused.exception).startswith(words), refused.exception)

    def test_mistakes_of_the_author_are_told_where_the_class_is_written(self):
        with self.assertRaisesRegex(TypeError, "setting `eta` of `Plain` has no type"):

            class Plain(Algorithm):
                eta = setting(1.0)

        with self.assertRaisesRegex(TypeError, "setting `eta` has type `<class 'complex'>`; known: f32,"):

            class Odd(Algorithm):
                eta: complex = setting(1.0)

    def test_nothing_is_kept_in_self(self):
        with self.assertRaisesRegex(AttributeError, "what must last goes through `state`"):
            Many(count=1).momentum = 3


class Algebra(unittest.TestCase):
    def setUp(self):
        self.p = params({"b": [[1.5, -2.0]], "a": [0.1]})

    def test_operators_round_each_step(self):
        p, tenth = self.p, nearest(0.1)
        self.assertEqual(p.names(), ["a", "b"])
        self.assertEqual(p.shape("b"), [1, 2])
        first = lambda q: q.read(0, 1)[0]
        self.assertEqual(first(0.7 * p), nearest(nearest(0.7) * tenth))
        self.assertEqual(first(p * f32(0.7)), nearest(nearest(0.7) * tenth))
        self.assertEqual(first(p + 0.3), nearest(tenth + nearest(0.3)))
        self.assertEqual(first(1.0 - p), nearest(1.0 - tenth))
        self.assertEqual(first(p - 0.3), nearest(tenth - nearest(0.3)))
        self.assertEqual(first(p / (p + p)), 0.5)
        self.assertEqual(first(-p), -tenth)
        self.assertEqual(first(p.add_scaled(0.7, p)), nearest(tenth + nearest(nearest(0.7) * tenth)))
        self.assertEqual(p.sign().read(0, 3), [1.0, 1.0, -1.0])
        with self.assertRaises(TypeError):
            p / 2.0

    def test_structures_are_chosen_and_must_match(self):
        self.assertEqual(self.p.select("b*").names(), ["b"])
        self.assertEqual(self.p.merge(params({"a": [9.0]})).read(0, 1), [9.0])
        with self.assertRaises(ValueError):
            self.p + params({"a": [1.0]})

    def test_scalars_are_written(self):
        writer = self.p.write()
        writer.put(1, [7.0])
        self.assertEqual(type(writer).finish(writer).read(0, 3), [0.0, 7.0, 0.0])

    def test_sums_are_those_of_the_formula(self):
        total = weighted_sum([(self.p, 0.25), (self.p, 0.5)])
        self.assertEqual(total.read(1, 2), [1.125, -1.5])
        given = updates([update(4, 1, params({"w": [0.0]})), update(2, 3, params({"w": [4.0]}))])
        self.assertEqual([each.client().id() for each in given], [2, 4])
        self.assertEqual(given.shares(), [0.75, 0.25])
        self.assertEqual(given.mean().read(0, 1), [3.0])
        self.assertEqual(given.mean_by(Weighting.UNIFORM).read(0, 1), [2.0])
        with self.assertRaisesRegex(Refusal, "^1 weights with sum 1.0 for 2 updates$"):
            given.weighted_mean([1.0])

    def test_equal_rounds_draw_equally(self):
        self.assertEqual(round(3, 9).rng().random(), round(3, 9).rng().random())
        self.assertNotEqual(round(3, 9).rng().random(), round(4, 9).rng().random())

    def test_state_lasts(self):
        kept = state()
        kept.put_bytes("seen", b"\x01")
        self.assertEqual((kept.bytes("seen"), kept.params("seen")), (b"\x01", None))


class Length(Metric):
    """Mean length."""

    scores = [ScoreInfo("length", "characters of the answer", higher_is_better=False)]
    limit: int = setting(5)

    def ask(self, example, so_far, questions):
        Generation(self.limit, stop=["\n"]).ask_once(example, so_far, questions)

    def observe(self, example, answers, observations):
        observations.add("length", len(answers.texts(0)[0]), 1.0)

    def summarize(self, observations, scores):
        value, error = observations.mean_of("length")
        scores.add("length", value, False, error)


class Evaluation(unittest.TestCase):
    def test_a_metric_asks_once_and_means(self):
        metric, asked, seen = Length(), questions(), observations()
        example = Example.from_json('{"prompt": "Say", "reference": "x"}')
        metric.ask(example, answers([]), asked)
        metric.ask(example, answers([Reply(texts=("abc",))]), asked)
        options = '{"max-tokens": 5, "stop": ["\\n"], "temperature": 0.0, "samples": 1}'
        self.assertEqual(asked.asked, [("generate", "Say", options)])
        for text in ("abc", "abcde"):
            metric.observe(example, answers([Reply(texts=(text,))]), seen)
        found = scores()
        metric.summarize(seen, found)
        self.assertEqual(found.added, [Score("length", 4.0, False, 1.0)])
        self.assertEqual(json.loads(Length.describe())["traits"]["scores"][0]["error"], "closed_form")
        with self.assertRaisesRegex(Refusal, "^column `answer` is missing; there are: prompt, reference$"):
            example.text("answer")

    def test_a_data_set_has_categories(self):
        data = dataset({"topic": ["b", "a", "b"]})
        self.assertEqual(data.categories("topic"), ([1, 0, 1], ["a", "b"]))
        with self.assertRaises(Refusal):
            data.numbers("topic")


if __name__ == "__main__":
    unittest.main()
