import { constants } from "node:os";
import { describe, expect, it } from "vitest";
import { parseSignal, signalName } from "./signals.ts";

describe("parseSignal", () => {
  it("takes names with and without SIG, in any case, and numbers as number or text", () => {
    for (const value of ["SIGTERM", "TERM", "sigterm", " term ", "15", 15])
      expect(parseSignal(value)).toEqual({ number: 15, name: "SIGTERM" });
    expect(parseSignal("WINCH")).toEqual({ number: 28, name: "SIGWINCH" });
  });

  it("counts real-time signals from either end, as glibc does", () => {
    for (const value of ["RTMIN+3", "SIGRTMIN+3", "rtmin+3", "RTMAX-27", "37", 37])
      expect(parseSignal(value)).toEqual({ number: 37, name: "SIGRTMIN+3" });
    expect(parseSignal("RTMIN")).toEqual({ number: 34, name: "SIGRTMIN" });
    expect(parseSignal("SIGRTMAX-1")).toEqual({ number: 63, name: "SIGRTMIN+29" });
    expect(parseSignal("RTMAX").number).toBe(64);
  });

  it("gives a canonical name that means the same again", () => {
    for (let number = 1; number <= 64; number++) {
      const name = signalName(number);
      if (name !== null) expect(parseSignal(name)).toEqual({ number, name });
    }
    expect(parseSignal("IOT")).toEqual(parseSignal("ABRT"));
  });

  it("knows every signal of the system", () => {
    for (const [name, number] of Object.entries(constants.signals))
      expect(parseSignal(name).number).toBe(number);
  });

  it("refuses anything else with one error that says what is allowed", () => {
    const wrong = [
      "",
      "0",
      0,
      -15,
      "-TERM",
      1.5,
      32,
      33,
      65,
      "999",
      Number.NaN,
      "SIG",
      "SIG15",
      "SIGSIGTERM",
    ];
    const realTime = [
      "RTMIN-1",
      "RTMIN+31",
      "RTMAX+1",
      "RTMAX-31",
      "RTMIN+",
      "RTMIN+3x",
      "RTMIN3",
      "RTMIN + 3",
    ];
    for (const value of [...wrong, ...realTime, "TERM;KILL", "constructor", "toString"])
      expect(() => parseSignal(value)).toThrow(
        expect.objectContaining({
          name: "AppError",
          code: "invalid-request",
          message: expect.stringContaining("such as TERM, SIGTERM, 15 or RTMIN+3"),
        }),
      );
  });
});

describe("signalName", () => {
  it("is null for a number that no program can send", () => {
    for (const number of [0, -1, 32, 33, 65, 1.5, Number.NaN]) expect(signalName(number)).toBeNull();
  });
});
