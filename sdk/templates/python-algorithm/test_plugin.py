import unittest

from folkmoot.testing import params, round, state, update, updates

from plugin import {{Name}}


def w(value):
    return params({"w": [value]})


class {{Name}}Test(unittest.TestCase):
    def test_two_rounds_by_hand(self):
        plugin, kept = {{Name}}(eta=0.5, beta=0.5), state()
        given = updates([update(0, 3, w(4.0)), update(1, 1, w(0.0))])
        # Δ = 3, so m = 3 and then 0.5 · 3 + 3.
        first = plugin.aggregate(round(1, 2), w(1.0), given, kept)
        self.assertEqual(first.read(0, 1), [2.5])
        second = plugin.aggregate(round(2, 2), first, given, kept)
        self.assertEqual(second.read(0, 1), [4.75])


if __name__ == "__main__":
    unittest.main()
