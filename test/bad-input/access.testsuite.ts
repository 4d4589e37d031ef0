import { createHash } from "node:crypto";
import { auditEntrySchema, newTokenSchema, parseAs } from "@baton/protocol";
import { beforeAll, describe, expect, it } from "vitest";
import { expectNothingChanges } from "./observe.ts";
import { expectOneLine, expectProblem } from "./refusal.ts";
import { type Stage, ledger, startMs } from "./stage.ts";

const move = { kind: "migrate", application: ledger, to: "harbor-b" };

/** Tokens that may less than what is asked, and what is no token any more. */
export function testAccess(at: () => Stage): void {
  describe("a token that is not good enough", () => {
    let viewer: string;
    let operator: string;
    beforeAll(async () => {
      [viewer, operator] = await Promise.all([
        create("spectator", "viewer"),
        create("deck-hand", "operator"),
      ]);
    }, startMs);
    expectNothingChanges(at);

    const create = async (name: string, role: string): Promise<string> => {
      const answer = await at().api("POST", "/v1/tokens", { body: { name, role } });
      return parseAs(newTokenSchema, JSON.parse(answer.text), "the token").token;
    };
    const newestEntry = async () => {
      const { items } = JSON.parse((await at().api("GET", "/v1/audit?limit=1")).text) as { items: unknown[] };
      return parseAs(auditEntrySchema, items[0], "the entry");
    };

    it("a viewer moves nothing, and the attempt is on record", async () => {
      const answer = await at().api("POST", "/v1/operations", { body: move, token: viewer });
      const detail = expectProblem(answer, "forbidden", ["it needs the role operator", '"spectator"']);
      expect(detail).not.toContain(viewer);
      expect(await newestEntry()).toMatchObject({
        who: "spectator",
        subject: ledger,
        request: answer.headers.get("x-request-id"),
        outcome: { code: "forbidden" },
      });
    });

    it("an operator declares nothing, makes no token, and reads no audit trail", async () => {
      for (const [method, path, body] of [
        ["PUT", "/v1/clusters/harbor-b", {}],
        ["PUT", "/v1/applications/ledger", {}],
        ["DELETE", "/v1/storages/harbor", undefined],
        ["POST", "/v1/tokens", { name: "captain", role: "admin" }],
        ["DELETE", "/v1/tokens/spectator", undefined],
        ["GET", "/v1/tokens", undefined],
        ["GET", "/v1/audit", undefined],
      ] as const)
        expectProblem(await at().api(method, path, { body, token: operator }), "forbidden", [
          "it needs the role admin",
        ]);
    });

    it("what only looks like a token opens nothing", async () => {
      const last = operator.endsWith("A") ? "B" : "A";
      for (const token of [
        operator.slice(0, -1) + last,
        operator.slice(0, -1),
        `${operator}A`,
        createHash("sha256").update(operator).digest("hex"),
        "baton_",
        `baton_${"'".repeat(43)}`,
        `baton_${"A".repeat(43)}`,
      ]) {
        const answer = await at().api("POST", "/v1/operations", { body: move, token });
        const detail = expectProblem(answer, "unauthenticated", [
          "its token is missing, wrong, expired or revoked",
        ]);
        expect(detail).not.toContain(token);
      }
    });

    it("a token that was revoked opens nothing from that moment on", async () => {
      const token = await create("stowaway", "admin");
      expect((await at().api("GET", "/v1/operations", { token })).status).toBe(200);
      expect((await at().api("DELETE", "/v1/tokens/stowaway", { token })).status).toBe(204);
      expectProblem(await at().api("POST", "/v1/operations", { body: move, token }), "unauthenticated");
    });

    it("a command with too small a role ends with one line, without the token", async () => {
      const file = await at().annex.secret("spectator-token", viewer);
      const refused = await at().baton(["migrate", ledger, "--to", "harbor-b", "--token-file", file]);
      expectOneLine(refused, ["it needs the role operator"]);
      expect(refused.stderr).not.toContain(viewer);
    });
  });
}
