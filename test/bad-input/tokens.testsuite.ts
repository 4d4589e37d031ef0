import {
  type Command,
  type ErrorCode,
  type PrivateKey,
  bodySha256,
  createKeyPair,
  newOperationId,
  newPlacementId,
  publicKeyOf,
  signCommand,
} from "@baton/protocol";
import { describe, expect, it } from "vitest";
import { agentStatus, callAgent, commandKeyOf, sign } from "./agent-call.ts";
import { expectNothingChanges } from "./observe.ts";
import { expectProblem } from "./refusal.ts";
import { type Stage, ledger } from "./stage.ts";

/** What the real agent of the ledger knows, and the stop that would end it if it came with a good token. */
interface Victim {
  readonly key: PrivateKey;
  readonly placement: string;
  readonly epoch: number;
  readonly stop: Command;
}

interface BadToken {
  readonly title: string;
  readonly make: (victim: Victim) => string | Promise<string>;
  readonly code: ErrorCode;
  readonly words: readonly string[];
}

const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString("base64url");

/** All claims of a good token, with another header and no signature or one that `sign` makes. */
async function resigned({ stop, ...victim }: Victim, header: object, signature: string): Promise<string> {
  const [, claims = ""] = (await signCommand({ ...victim, command: stop })).split(".");
  return [encode(header), claims, signature].join(".");
}

const bad: readonly BadToken[] = [
  {
    title: "an expired token",
    make: ({ stop, ...victim }) =>
      signCommand({ ...victim, command: stop, now: new Date(Date.now() - 60_000) }),
    code: "token-expired",
    words: ["has expired", "send a new one"],
  },
  {
    title: "a token from the future",
    make: ({ stop, ...victim }) =>
      signCommand({ ...victim, command: stop, now: new Date(Date.now() + 60_000) }),
    code: "unauthenticated",
    words: ["from the future", "set the clocks"],
  },
  {
    title: "a token for another placement",
    make: ({ stop, ...victim }) => signCommand({ ...victim, command: stop, placement: newPlacementId() }),
    code: "token-foreign",
    words: ["is for another placement"],
  },
  {
    title: "a token of an older epoch",
    make: ({ stop, ...victim }) => signCommand({ ...victim, command: stop, epoch: victim.epoch - 1 }),
    code: "stale-epoch",
    words: ["cannot stop in epoch 0", "at least epoch 1"],
  },
  {
    title: "a token by another key",
    make: async ({ stop, ...victim }) =>
      signCommand({ ...victim, command: stop, key: (await createKeyPair()).privateKey }),
    code: "unauthenticated",
    words: ["its token is not valid"],
  },
  {
    title: "a token that says it needs no signature",
    make: (victim) => resigned(victim, { alg: "none", typ: "baton-command+jwt" }, ""),
    code: "unauthenticated",
    words: [],
  },
  {
    title: "a token that brings its own key",
    make: async (victim) => {
      const jwk = publicKeyOf((await createKeyPair()).privateKey);
      return resigned(victim, { alg: "EdDSA", typ: "baton-command+jwt", jwk }, "A".repeat(86));
    },
    code: "unauthenticated",
    words: ["its token is not valid"],
  },
  {
    title: "a token for another command",
    make: ({ stop: _stop, ...victim }) => signCommand({ ...victim, command: { kind: "read" } }),
    code: "unauthenticated",
    words: ['its token is not for "stop"'],
  },
  { title: "no token", make: () => "", code: "unauthenticated", words: ["no command token"] },
  {
    title: "what is no token",
    make: () => "abc.def",
    code: "unauthenticated",
    words: ["its token is not valid"],
  },
];

export function testTokens(at: () => Stage): void {
  describe("a wrong command token", () => {
    expectNothingChanges(at);

    async function findVictim() {
      const route = await at().harbour.client.route(ledger);
      const { run, epoch } = await agentStatus(at(), route);
      if (run === null || route.placement === null) throw new Error("the ledger does not run");
      const operation = newOperationId();
      const stop: Command = { kind: "stop", key: `${operation}.stop`, operation, run, deadlineMs: 10_000 };
      const key = await commandKeyOf(at());
      const victim: Victim = { key, placement: route.placement, epoch, stop };
      return { route, run, operation, victim };
    }

    it.each(bad)("$title stops nothing", async ({ make, code, words }) => {
      const { route, victim } = await findVictim();
      const token = (await make(victim)) || null;
      const answer = await callAgent(at(), route, { method: "POST", path: "/v1/stop", token });
      const detail = expectProblem(answer, code, words);
      expect([401, 403]).toContain(answer.status);
      if (token !== null) expect(detail).not.toContain(token);
    });

    it("a token that was used is refused, whatever it was for", async () => {
      const { route, run, operation } = await findVictim();
      for (const [method, path, command] of [
        ["POST", "/v1/open", { kind: "open", operation, run }],
        ["GET", "/v1/status", { kind: "read" }],
      ] as const) {
        const token = await sign(at(), route, command);
        expect((await callAgent(at(), route, { method, path, token })).status).toBe(200);
        const answer = await callAgent(at(), route, { method, path, token });
        expectProblem(answer, "token-replayed", ["was used before", "send a new one"]);
      }
    });

    it("of two requests with one token at once one is refused", async () => {
      const { route } = await findVictim();
      const token = await sign(at(), route, { kind: "read" });
      const call = { method: "GET", path: "/v1/status", token } as const;
      const answers = await Promise.all([callAgent(at(), route, call), callAgent(at(), route, call)]);
      const refused = answers.filter(({ status }) => status !== 200);
      expect(refused).toHaveLength(1);
      for (const answer of refused) expectProblem(answer, "token-replayed");
    });

    it("a good token with another body than was signed starts nothing", async () => {
      const { route, operation } = await findVictim();
      const token = await sign(at(), route, {
        kind: "start",
        key: `${operation}.start`,
        operation,
        grant: "0".repeat(32),
        deadlineMs: 10_000,
        bodySha256: bodySha256(JSON.stringify({ environment: {} })),
      });
      const body = JSON.stringify({ environment: { LD_PRELOAD: "/tmp/theirs.so" } });
      const answer = await callAgent(at(), route, { method: "POST", path: "/v1/start", token, body });
      expectProblem(answer, "unauthenticated", ["its body is not the one that was signed"]);
    });
  });
}
