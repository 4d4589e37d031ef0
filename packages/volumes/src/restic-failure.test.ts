import { describe, expect, it } from "vitest";
import { failureOf } from "./restic-failure.ts";

// As restic 0.14 and 0.17 wrote it.
const missing =
  "Is there a repository at the following location?\ns3:http://127.0.0.1:1/harbor/ledger/.volumes";

describe("what restic says", () => {
  it.each([
    ["repository-key", "Fatal: wrong password or no key found"],
    [
      "repository-locked",
      "unable to create lock in backend: repository is already locked exclusively by PID 7 on pod-1 by root (UID 0, GID 0)",
    ],
    ["volume-space", "Fatal: write /data/.x: no space left on device"],
    ["storage-credentials", `Fatal: unable to open config file: Stat: Access Denied.\n${missing}`],
    [
      "storage-bucket-missing",
      `Fatal: unable to open config file: Stat: The specified bucket does not exist\n${missing}`,
    ],
    [
      "storage-unreachable",
      `Fatal: unable to open config file: Stat: dial tcp 127.0.0.1:1: connect: connection refused\n${missing}`,
    ],
    ["not-found", `Fatal: unable to open config file: Stat: The specified key does not exist.\n${missing}`],
    ["copier-failed", "Fatal: something new"],
  ])("means %s", (code, text) => {
    const error = failureOf("copy", 1, text.split("\n"));
    expect(error).toMatchObject({ code, message: expect.stringMatching(/^cannot copy: .+; .+/) });
  });

  it("names who holds the lock", () => {
    const error = failureOf("copy", 1, [
      "unable to create lock in backend: repository is already locked by PID 7 on pod-1 by root",
    ]);
    expect(error.message).toContain("PID 7 on pod-1");
  });
});
