import unittest

from folkmoot import Refusal
from folkmoot.testing import client, message, objective, params, round, state, training, update, updates

from plugin import Scaffold


def w(value):
    return params({"w": [value]})


class ScaffoldTest(unittest.TestCase):
    def near(self, found, expected):
        self.assertAlmostEqual(found.read(0, 1)[0], expected, delta=1e-6)

    def test_repeats_openfedllm(self):
        """Four clients of which two take part, two steps at learning rate 0.1."""
        plugin, server, homes, following = Scaffold(variant="openfedllm"), state(), [state(), state()], w(1.0)
        rounds = [
            ([0.2, -0.1], 1.125, [-1.0, 0.5], -0.125),
            ([0.1, -0.2], 1.15, [-1.375, 1.625], 0.0625),
            ([-0.05, 0.3], 1.1875, [-1.1875, 0.0625], -0.28125),
        ]
        for number, (offsets, expected, own, control) in enumerate(rounds, 1):
            now, given = round(number, 3, clients=4), []
            for id, examples in enumerate([3, 1]):
                received, sent, asked = message(), message(), objective()
                plugin.configure(now, client(id, examples), server, received)
                plugin.begin(now, following, received, homes[id], asked)
                self.assertEqual([call[0] for call in asked.asked], ["correct"])
                after = following + offsets[id]
                trained = training(2, 0.1, following, after)
                plugin.finish(now, trained, received, homes[id], sent)
                self.near(homes[id].params("control"), own[id])
                given.append(update(id, examples, after - following, sent=sent))
            following = plugin.aggregate(now, following, updates(given), server)
            self.near(following, expected)
            self.near(server.params("control"), control)

    def test_refusals_name_their_cause(self):
        with self.assertRaisesRegex(Refusal, "^eta is `0.5`, but variant `openfedllm` fixes `1`$"):
            Scaffold(eta=0.5, variant="openfedllm").start(w(1.0), state())
        with self.assertRaisesRegex(Refusal, "^client `7` sent no `control-change`$"):
            Scaffold().aggregate(round(1, 1), w(1.0), updates([update(7, 1, w(1.0))]), state())


if __name__ == "__main__":
    unittest.main()
