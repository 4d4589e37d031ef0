import { describe, expect, it } from "vitest";
import { parseFileLocks, readFileLocks } from "./file-locks.ts";

describe("parseFileLocks", () => {
  it("reads locks of every kind, and leaves out those that only wait", () => {
    expect(
      parseFileLocks(
        [
          "1: FLOCK  ADVISORY  WRITE 711 fe:00:247741 0 EOF",
          "1: -> FLOCK  ADVISORY  WRITE 712 fe:00:247741 0 EOF",
          "2: POSIX  ADVISORY  READ  713 00:1e:18446744073709551615 128 128",
          "3: OFDLCK ADVISORY  WRITE -1 08:10:7 0 EOF",
          "4: LEASE  BREAKER   READ  714 <none>:0 0 EOF",
          "",
        ].join("\n"),
      ),
    ).toEqual([
      { kind: "FLOCK", pid: 711, device: "254:0", inode: "247741" },
      { kind: "POSIX", pid: 713, device: "0:30", inode: "18446744073709551615" },
      { kind: "OFDLCK", pid: null, device: "8:16", inode: "7" },
    ]);
  });

  it("throws for a line that it does not understand", () => {
    for (const line of ["x", "1: FLOCK  ADVISORY  WRITE 711 fe:00 0 EOF", "1: FLOCK  ADVISORY  WRITE"])
      expect(() => parseFileLocks(line)).toThrow("cannot read the file locks");
  });
});

describe("readFileLocks", () => {
  it("understands all that this machine has", () => {
    expect(Array.isArray(readFileLocks())).toBe(true);
  });
});
