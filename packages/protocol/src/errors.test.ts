import { describe, expect, it } from "vitest";
import { AppError, errorTable, isAppError, toAppError } from "./errors.ts";

describe("the error table", () => {
  const rows = Object.entries(errorTable).map(([code, row]) => ({ code, ...row }));

  it.each(rows)("has a sound row for $code", ({ code, status, retry, title }) => {
    expect(code).toMatch(/^[a-z]+(-[a-z]+)*$/);
    expect(title).toMatch(/^[A-Z][^.!:]{5,70}$/);
    expect(Number.isInteger(status) && status >= 400 && status < 600).toBe(true);
    expect(["never", "after", "operator"]).toContain(retry);
    // RFC 9110, 15.6.4: 503 says that it will pass. The same words with the same credential never become right.
    if (status === 503) expect(retry).toBe("after");
    if (status === 401 || status === 403 || status === 404) expect(retry).toBe("never");
  });

  it("has one title for one code", () => {
    expect(new Set(rows.map(({ title }) => title)).size).toBe(rows.length);
  });
});

describe("an AppError", () => {
  it("has a code, a sentence, a cause and facts", () => {
    const cause = new Error("inner");
    const error = new AppError("in-use", "cannot delete it: it is used", { cause, meta: { by: "a" } });
    expect(error).toMatchObject({ name: "AppError", code: "in-use", meta: { by: "a" }, cause });
    expect(error.message).toBe("cannot delete it: it is used");
  });

  it("has no cause unless there is one", () => {
    const error = new AppError("in-use", "cannot delete it: it is used");
    expect("cause" in error).toBe(false);
    expect(error.meta).toBeUndefined();
  });

  it("is recognised after a journal that keeps name, message and code only", () => {
    const revived = Object.assign(new Error("cannot do it: no"), { name: "AppError", code: "stop-refused" });
    expect(isAppError(revived)).toBe(true);
    expect(toAppError(revived)).toBe(revived);
  });

  it.each<[string, unknown]>([
    ["another error", new Error("no")],
    ["an error with a code of Node", Object.assign(new Error("no"), { code: "ENOENT" })],
    ["an unknown code", Object.assign(new Error("no"), { name: "AppError", code: "toString" })],
    ["a code that is no text", Object.assign(new Error("no"), { name: "AppError", code: 7 })],
    ["no code", Object.assign(new Error("no"), { name: "AppError" })],
    ["no error", { name: "AppError", code: "internal" }],
    ["nothing", undefined],
  ])("is not %s, which becomes internal and tells nothing", (_, value) => {
    expect(isAppError(value)).toBe(false);
    const error = toAppError(value);
    expect(error).toMatchObject({ code: "internal" });
    expect(error.cause).toBe(value);
    expect(error.message).toBe("cannot finish the request: something went wrong inside; see the log");
  });
});
