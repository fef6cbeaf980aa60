// Run by `npm test`, on this machine.
import assert from "node:assert/strict";
import test from "node:test";

import { greeting } from "../dist/greeting.js";

test("whoever has a name is greeted by it", () => {
  assert.equal(greeting("/"), "hello\n");
  assert.equal(greeting("/ada"), "hello, ada\n");
});
