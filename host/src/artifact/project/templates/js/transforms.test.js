import assert from "node:assert/strict";
import test from "node:test";

import { toEuro } from "./transforms.js";

test("amounts become euros", () => {
  assert.equal(toEuro({ amount: 20.5, currency: "USD" }, { rates: { USD: 0.92 } }).amount_eur, 18.86);
});

test("an unknown currency is refused", () => {
  assert.throws(() => toEuro({ amount: 1, currency: "XXX" }, { rates: {} }), /no rate for XXX/);
});
