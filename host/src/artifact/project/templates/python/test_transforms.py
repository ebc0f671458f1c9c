import unittest

from transforms import to_euro


class ToEuro(unittest.TestCase):
    def test_amounts_become_euros(self):
        row = to_euro({"amount": 20.5, "currency": "USD"}, rates={"USD": 0.92})
        self.assertEqual(row["amount_eur"], 18.86)

    def test_an_unknown_currency_is_refused(self):
        with self.assertRaisesRegex(ValueError, "no rate for XXX"):
            to_euro({"amount": 1, "currency": "XXX"}, rates={})


if __name__ == "__main__":
    unittest.main()
