import assert from "node:assert/strict";
import {
  classify,
  ConfigError,
  describe,
  placed,
  RecordError,
  RetryableError,
} from "../../shared/errors.ts";

Deno.test("network faults and servers that restart are worth another attempt", () => {
  const codes = [
    ...["ECONNRESET", "ECONNREFUSED", "57P01", "57P05"],
    ...["PROTOCOL_CONNECTION_LOST", "ER_CLIENT_INTERACTION_TIMEOUT"],
  ];
  for (const code of codes) {
    assert.equal(classify(Object.assign(new Error("x"), { code })), "retry", code);
  }
  assert.equal(classify(new RetryableError("x")), "retry");
});

Deno.test("what nobody has vouched for stops the job", () => {
  const errors = [
    new Error("x"),
    new TypeError("x"),
    new ConfigError("x"),
    new RecordError("x"),
    Object.assign(new Error("no such table"), { code: "42P01" }),
    "text",
    null,
  ];
  for (const error of errors) assert.equal(classify(error), "stop", String(error));
});

Deno.test("a described error tells message and causes in one line, and the cures last", () => {
  const cause = new ConfigError("no slot", { cure: "make one" });
  const error = new RetryableError("cannot start", { cause });
  assert.equal(describe(error), "cannot start. Cause: no slot. To mend: make one");
});

Deno.test("a cause that says nothing new is not told again", () => {
  const refused = new Error("connect ECONNREFUSED db:5432");
  const cause = new Error("Connection to db:5432 failed", { cause: refused });
  const error = new RetryableError("Cannot reach db:5432: connect ECONNREFUSED db:5432", {
    cure: "start it",
    cause,
  });
  assert.equal(
    describe(error),
    "Cannot reach db:5432: connect ECONNREFUSED db:5432. Cause: Connection to db:5432 failed." +
      " To mend: start it",
  );
});

Deno.test("a record's error is told with its place, cure and cause kept; another as it is", () => {
  const cause = new Error("inflate: bad header");
  const error = placed("Column 3", new RecordError("not a date", { cure: "mend it", cause }));
  assert.ok(error instanceof RecordError);
  assert.deepEqual([error.message, error.cure, error.cause], [
    "Column 3: not a date",
    "mend it",
    cause,
  ]);
  const other = new ConfigError("no slot");
  assert.equal(placed("Column 3", other), other);
});
