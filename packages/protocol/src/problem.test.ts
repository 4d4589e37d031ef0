import { describe, expect, it } from "vitest";
import { AppError, type ErrorCode, errorTable } from "./errors.ts";
import { parseAs } from "./parse.ts";
import { fromProblem, problemContentType, problemSchema, toProblem } from "./problem.ts";

const codes = Object.keys(errorTable) as ErrorCode[];

describe("a problem", () => {
  it.each(codes)("brings %s over the wire", (code) => {
    const problem = toProblem(new AppError(code, "cannot do it: it is a test"));
    const received = parseAs(problemSchema, JSON.parse(JSON.stringify(problem)), "the problem");
    expect(received).toEqual(problem);
    expect(received).toEqual({
      type: `urn:baton:problem:${code}`,
      code,
      detail: "cannot do it: it is a test",
      ...errorTable[code],
    });
    const error = fromProblem(received);
    expect(error).toBeInstanceOf(AppError);
    expect(error).toMatchObject({ code, message: "cannot do it: it is a test" });
  });

  it.each(["from-the-future", "", "toString", "__proto__", "constructor"])(
    "with the unknown code %j becomes internal and keeps its sentence",
    (code) => {
      const problem = { ...toProblem(new AppError("internal", "cannot do it: it is new")), code };
      expect(fromProblem(problem)).toMatchObject({ code: "internal", message: "cannot do it: it is new" });
    },
  );

  it("tells nothing of cause and meta", () => {
    const error = new AppError("storage-failed", "cannot write: it failed", {
      cause: new Error("hunter2"),
      meta: { key: "hunter2" },
    });
    expect(JSON.stringify(toProblem(error))).not.toContain("hunter2");
  });

  it("may have fields that this version does not know (RFC 9457, 3.2)", () => {
    const problem = toProblem(new AppError("internal", "cannot do it: it is a test"));
    expect(parseAs(problemSchema, { ...problem, instance: "/1" }, "the problem")).toEqual(problem);
  });

  it("has the media type of RFC 9457", () => {
    expect(problemContentType).toBe("application/problem+json");
  });
});
