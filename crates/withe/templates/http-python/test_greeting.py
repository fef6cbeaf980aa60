"""Run by `python3 -m unittest`, on this machine."""

import unittest

from greeting import greeting


class Greeting(unittest.TestCase):
    def test_whoever_has_a_name_is_greeted_by_it(self) -> None:
        self.assertEqual(greeting("/"), "hello\n")
        self.assertEqual(greeting("/ada"), "hello, ada\n")


if __name__ == "__main__":
    unittest.main()
