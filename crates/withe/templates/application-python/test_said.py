"""Run by `python3 -m unittest`, on this machine."""

import unittest

from said import said


class Said(unittest.TestCase):
    def test_once_is_not_1_times(self) -> None:
        self.assertEqual(said("/", 1), "/ was asked for once\n")
        self.assertEqual(said("/", 2), "/ was asked for 2 times\n")


if __name__ == "__main__":
    unittest.main()
