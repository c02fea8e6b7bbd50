import unittest

from folkmoot.testing import params, round, state, update, updates

from plugin import FedAdam


def w(value):
    return params({"w": [value]})


class FedAdamTest(unittest.TestCase):
    def test_one_round_of_the_paper(self):
        plugin = FedAdam(eta=1.0, tau=1.0, beta1=0.5, beta2=0.5)
        following = plugin.aggregate(round(1, 1), w(1.0), updates([update(0, 1, w(2.0))]), state())
        # m = 1, v = 0.5 + 0.5 · 4, so 1 + 1 / (√2.5 + 1).
        self.assertAlmostEqual(following.read(0, 1)[0], 1.3874259, places=6)

    def test_repeats_openfedllm(self):
        plugin, kept, following = FedAdam(variant="openfedllm"), state(), w(1.0)
        rounds = [(0.2, -0.1, 1.0081994), (0.1, -0.2, 1.0135614), (-0.05, 0.3, 1.0189193)]
        for number, (first, second, expected) in enumerate(rounds, 1):
            given = updates([update(0, 3, w(first)), update(1, 1, w(second))])
            following = plugin.aggregate(round(number, 3), following, given, kept)
            self.assertAlmostEqual(following.read(0, 1)[0], expected, places=6)


if __name__ == "__main__":
    unittest.main()
