import unittest

from folkmoot import Refusal
from folkmoot.testing import dataset

from plugin import {{Name}}

DATA = {"text": ["a", "b", "c", "d", "e"]}


class {{Name}}Test(unittest.TestCase):
    def test_every_example_goes_to_one_client(self):
        shares = {{Name}}().partition(dataset(DATA, seed=1), 2)
        self.assertEqual([len(share) for share in shares], [3, 2])
        self.assertEqual(sorted(shares[0] + shares[1]), [0, 1, 2, 3, 4])

    def test_the_seed_decides(self):
        deal = lambda seed: {{Name}}().partition(dataset(DATA, seed), 2)
        self.assertEqual(deal(1), deal(1))
        self.assertTrue(any(deal(seed) != deal(1) for seed in range(2, 9)))

    def test_too_few_examples_are_refused(self):
        with self.assertRaisesRegex(Refusal, "too few for `2` clients"):
            {{Name}}(least=3).partition(dataset(DATA), 2)


if __name__ == "__main__":
    unittest.main()
