import { describe, expect, it } from "vitest";
import { judgeKrakeAnswer } from "./krake-answer.ts";

const states = [
  "PENDING",
  "CREATING",
  "RUNNING",
  "RECONCILING",
  "TRANSLATING",
  "RETRYING",
  "RESTARTING",
  "WAITING_FOR_CLEANING",
  "READY_FOR_ACTION",
  "MIGRATING",
  "WAITING_FOR_CLUSTER_CREATION",
  "DELETING",
  "DELETED",
  "DEGRADED",
  "FAILED",
  "COMPLETED",
];
const takenOf = (isRepeat: boolean): string[] =>
  states.filter((state) => judgeKrakeAnswer(200, state, isRepeat) === "taken");

describe("an answer of Krake's API", () => {
  it("takes a confirmation by one of its 16 states only", () => {
    expect(takenOf(false)).toEqual(["READY_FOR_ACTION"]);
  });

  it("takes a repeated one by the states that follow as well, but not by RUNNING, which anybody may write", () => {
    expect(takenOf(true)).toEqual(["READY_FOR_ACTION", "MIGRATING", "DELETING", "DELETED"]);
  });

  it("that is 200 in any other state, or without one, is to be asked for again", () => {
    for (const state of [...states, "NEW_STATE", "", null])
      expect(judgeKrakeAnswer(200, state, true)).not.toBe("refused");
    for (const state of ["NEW_STATE", "", null]) expect(judgeKrakeAnswer(200, state, true)).toBe("later");
  });

  it.each([400, 401, 403, 404, 405, 410, 413, 415, 422])("%d refuses for good", (status) => {
    expect(judgeKrakeAnswer(status, null, true)).toBe("refused");
  });

  it.each([0, 201, 204, 301, 307, 308, 408, 409, 425, 429, 500, 502, 503, 504])(
    "%d is to be asked again, whatever state it tells",
    (status) => {
      expect(judgeKrakeAnswer(status, "READY_FOR_ACTION", true)).toBe("later");
    },
  );
});
