// Run by `npm test`, on this machine.
import assert from "node:assert/strict";
import test from "node:test";

import { said } from "../dist/said.js";

test("once is not 1 times", () => {
  assert.equal(said("/", 1n), "/ was asked for once\n");
  assert.equal(said("/", 2n), "/ was asked for 2 times\n");
});
