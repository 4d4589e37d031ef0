import { type ErrorCode, errorTable, parseAs, problemContentType, problemSchema } from "@baton/protocol";
import { expect } from "vitest";
import type { Ended } from "./run-cli.ts";
import type { Answer } from "./send.ts";

/** The answer is problem+json of that code, with its status of the table. @returns its sentence. */
export function expectProblem(
  { status, headers, text }: Answer,
  code: ErrorCode,
  words: readonly string[] = [],
): string {
  const problem = parseAs(problemSchema, JSON.parse(text), "the problem");
  const { title, retry, status: wanted } = errorTable[code];
  expect({ status, contentType: headers.get("content-type"), problem }).toMatchObject({
    status: wanted,
    contentType: problemContentType,
    problem: { code, status: wanted, title, retry },
  });
  for (const word of words) expect(problem.detail).toContain(word);
  return problem.detail;
}

/** A refused command: one line on stderr with these words, nothing on stdout, a status that says so. */
export function expectOneLine({ status, stdout, stderr }: Ended, words: readonly string[]): void {
  expect(stderr).toMatch(/^baton: [^\n]+\n$/);
  for (const word of words) expect(stderr).toContain(word);
  expect(stdout).toBe("");
  expect(status).toBe(1);
}
