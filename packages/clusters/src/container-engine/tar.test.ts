import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { firstFile, writeTar } from "./tar.ts";

it("writes what tar reads, with owner and mode", () => {
  const directory = mkdtempSync(join(tmpdir(), "baton-tar-"));
  try {
    const content = Buffer.alloc(513, "a");
    const archive = join(directory, "a.tar");
    writeFileSync(
      archive,
      writeTar([
        { name: "etc/baton/", mode: 0o700, uid: 0, gid: 0 },
        { name: "etc/baton/agent.json", content, mode: 0o400, uid: 1_000, gid: 1_001 },
      ]),
    );
    const listed = execFileSync("tar", ["--numeric-owner", "-tvf", archive], { encoding: "utf8" });
    const lines = listed.trim().split("\n");
    expect(lines[0]).toMatch(/^drwx------ 0\/0 .* etc\/baton\/$/);
    expect(lines[1]).toMatch(/^-r-------- 1000\/1001 +513 .* etc\/baton\/agent.json$/);
  } finally {
    rmSync(directory, { recursive: true });
  }
});

it("reads the first file of what tar wrote, past directories and extensions", () => {
  const directory = mkdtempSync(join(tmpdir(), "baton-tar-"));
  try {
    writeFileSync(join(directory, "endpoint.json"), "{}\n");
    const archive = execFileSync("tar", ["--format=pax", "-cf", "-", "-C", directory, "."]);
    expect(firstFile(archive)?.toString()).toBe("{}\n");
  } finally {
    rmSync(directory, { recursive: true });
  }
});

it("finds no file in an empty archive, in a cut one and in no archive", () => {
  const whole = writeTar([{ name: "a", content: Buffer.from("content"), mode: 0o600, uid: 0, gid: 0 }]);
  expect(firstFile(writeTar([]))).toBeNull();
  expect(firstFile(whole.subarray(0, 515))).toBeNull();
  expect(firstFile(Buffer.alloc(1_024, "x"))).toBeNull();
});
