import { join } from "node:path";
import type { ErrorCode } from "@baton/protocol";
import { describe, expect, it } from "vitest";
import { expectNothingChanges } from "./observe.ts";
import { expectOneLine, expectProblem } from "./refusal.ts";
import type { Stage } from "./stage.ts";

interface Refused {
  readonly title: string;
  readonly args: readonly string[];
  readonly request: {
    readonly method: string;
    readonly path: string;
    readonly body?: unknown;
    readonly token?: string | null;
  };
  readonly code: ErrorCode;
  readonly words: readonly string[];
}

const operation = (kind: string, application: string, to: string) => ({
  args: [kind, application, "--to", to],
  request: { method: "POST", path: "/v1/operations", body: { kind, application, to } },
});

const both: readonly Refused[] = [
  {
    title: "an application that nobody declared is not deployed",
    ...operation("deploy", "nosuch", "harbor-a"),
    code: "unknown-application",
    words: ['cannot use application "nosuch"', "known: ", "ledger"],
  },
  {
    title: "an application that nobody declared is not migrated",
    ...operation("migrate", "nosuch", "harbor-b"),
    code: "unknown-application",
    words: ['cannot use application "nosuch"', "known: ", "ledger"],
  },
  {
    title: "an application that nobody declared has no route",
    args: ["route", "nosuch"],
    request: { method: "GET", path: "/v1/applications/nosuch/route" },
    code: "unknown-application",
    words: ['application "nosuch"'],
  },
  {
    title: "a cluster that nobody declared is no target",
    ...operation("migrate", "ledger", "atlantis"),
    code: "unknown-cluster",
    words: ['cannot use cluster "atlantis"', "known: harbor-a, harbor-b"],
  },
  {
    title: "the cluster on which the application is is no target",
    ...operation("migrate", "ledger", "harbor-a"),
    code: "same-cluster",
    words: ["cannot migrate ledger to harbor-a", "it is there already"],
  },
  {
    title: "what is deployed is not deployed again",
    ...operation("deploy", "ledger", "harbor-b"),
    code: "already-deployed",
    words: ["cannot deploy ledger", "it runs on harbor-a", "migrate it instead"],
  },
  {
    title: "a target that is no name is not looked for",
    ...operation("migrate", "ledger", "../harbor-b"),
    code: "invalid-request",
    words: ['"to"', "must be a DNS label"],
  },
  {
    title: "an operation that never was is not shown",
    args: ["operation", "show", "op-00000000000000000000"],
    request: { method: "GET", path: "/v1/operations/op-00000000000000000000" },
    code: "unknown-operation",
    words: ["there is none of this id"],
  },
];

const raw: readonly Omit<Refused, "args">[] = [
  {
    title: "an operation of an unknown kind",
    request: {
      method: "POST",
      path: "/v1/operations",
      body: { kind: "teleport", application: "ledger", to: "harbor-b" },
    },
    code: "invalid-request",
    words: ['"kind"', 'must be one of "deploy", "migrate", "stop", "start", "delete"'],
  },
  {
    title: "an operation with a field too many",
    request: {
      method: "POST",
      path: "/v1/operations",
      body: { kind: "migrate", application: "ledger", to: "harbor-b", force: true },
    },
    code: "invalid-request",
    words: ['unknown field "force"', "allowed: kind, application, plan, to"],
  },
  {
    title: "a body that is not JSON",
    request: { method: "POST", path: "/v1/operations", body: '{"kind": hunter2' },
    code: "invalid-request",
    words: ["the body is not JSON"],
  },
  {
    title: "a path that leads nowhere",
    request: { method: "DELETE", path: "/v1/applications/ledger" },
    code: "not-found",
    words: ["there is nothing at this path"],
  },
  {
    title: "a wait that is no number",
    request: { method: "GET", path: "/v1/operations/op-00000000000000000000?waitMs=for-ever" },
    code: "invalid-request",
    words: ['"waitMs"'],
  },
];

export function testRequests(at: () => Stage): void {
  describe("a wrong request", () => {
    expectNothingChanges(at);

    it.each(both)("$title", async ({ args, request, code, words }) => {
      expectProblem(await at().api(request.method, request.path, request), code, words);
      expectOneLine(await at().baton(args), words);
    });

    it.each(raw)("$title is refused", async ({ request, code, words }) => {
      const detail = expectProblem(await at().api(request.method, request.path, request), code, words);
      expect(detail).not.toContain("hunter2");
    });

    it("a body that is too large is refused, and its connection with it", async () => {
      const body = `"${"x".repeat(1_100_000)}"`;
      const answer = await at().api("PUT", "/v1/applications/ledger", { body });
      expectProblem(answer, "request-too-large", ["its body is over 1048576 bytes"]);
      // What was not read of the body would be in the way of the next request.
      expect(answer.headers.get("connection")).toBe("close");
    });

    it.each([
      ["a missing", null],
      ["a wrong", "not-the-admin-token-0123456789"],
    ])("%s admin token opens nothing", async (_which, token) => {
      const move = { kind: "migrate", application: "ledger", to: "harbor-b" };
      for (const [method, path, body] of [
        ["POST", "/v1/operations", move],
        ["PUT", "/v1/clusters/harbor-b", {}],
        ["GET", "/v1/operations", undefined],
        ["GET", "/v1/applications/ledger/route", undefined],
      ] as const)
        expectProblem(await at().api(method, path, { body, token }), "unauthenticated", [
          "its token is missing, wrong",
        ]);
    });

    it("a command with a wrong or without an admin token ends with one line", async () => {
      const { annex } = at();
      const wrong = await annex.secret("wrong-token", "not-the-admin-token-0123456789");
      const move = ["migrate", "ledger", "--to", "harbor-b", "--token-file"];
      const refused = await at().baton([...move, wrong]);
      expectOneLine(refused, ["cannot accept the request", "its token is missing, wrong"]);
      expect(refused.stderr).not.toContain("not-the-admin-token");
      expectOneLine(await at().baton([...move, annex.pathOf("no-token")]), [
        "there is no such file",
        "--token-file",
      ]);
    });

    it("with --output json the problem itself is the line", async () => {
      const args = ["migrate", "ledger", "--to", "atlantis", "--output", "json"];
      const { status, stdout, stderr } = await at().baton(args);
      expect(stdout).toBe("");
      expect(stderr.endsWith("\n")).toBe(true);
      expect(JSON.parse(stderr)).toMatchObject({ code: "unknown-cluster", status: 404, retry: "never" });
      expect(status).toBe(1);
    });

    it("a failure that is watched for is a failure of the command", async () => {
      const move = ["migrate", "ledger", "--to", "atlantis", "--watch"];
      expectOneLine(await at().baton(move), ['cannot use cluster "atlantis"']);
    });

    it("a manifest is not applied under another name than its own", async () => {
      const body = {
        kind: "cluster",
        name: "harbor-c",
        driver: "process",
        directory: join(at().harbour.directory, "harbor-c"),
      };
      const answer = await at().api("PUT", "/v1/clusters/harbor-b", { body });
      expectProblem(answer, "invalid-manifest", ['cluster "harbor-c"', "the path names another one"]);
    });
  });
}
