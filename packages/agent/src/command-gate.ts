import {
  type AgentConfig,
  AppError,
  type Command,
  type VerifiedCommand,
  verifyCommand,
} from "@baton/protocol";
import { refuseStaleTerm, withNonce, withTerm } from "./admit-command.ts";
import type { Journal } from "./journal.ts";

/** Lets each command token through once. */
export interface CommandGate {
  /**
   * @param authorization the header, `Bearer <token>`
   * @throws AppError `unauthenticated`, `token-expired`, `token-foreign`, `token-replayed`, `stale-term`
   */
  pass<K extends Command["kind"]>(authorization: string | undefined, kind: K): Promise<PassedCommand<K>>;
  /** Keeps the nonce of a refused command; an accepted one's is written with what it changed. */
  keepNonce(verified: VerifiedCommand): Promise<void>;
}

export type PassedCommand<K extends Command["kind"]> = VerifiedCommand & {
  readonly command: Extract<Command, { kind: K }>;
};

export function createCommandGate(deps: {
  readonly config: AgentConfig;
  readonly journal: Journal;
}): CommandGate {
  const { config, journal } = deps;
  /** Nonces of this life, `read` ones too; the older ones are in the journal. Value: when it may be forgotten, in seconds. */
  const seen = new Map<string, number>();
  let sweepAt = 0;

  const claim = ({ nonce, expiresAt }: VerifiedCommand): boolean => {
    const now = Date.now() / 1_000;
    if (now > sweepAt) {
      for (const [old, until] of seen) if (until < now) seen.delete(old);
      sweepAt = now + 60;
    }
    if (seen.has(nonce) || Object.hasOwn(journal.facts.nonces, nonce)) return false;
    seen.set(nonce, expiresAt + 60);
    return true;
  };

  return {
    async pass<K extends Command["kind"]>(authorization: string | undefined, kind: K) {
      const token = /^Bearer ([\w.-]+)$/i.exec(authorization ?? "")?.[1];
      if (token === undefined)
        throw new AppError("unauthenticated", "cannot accept the request: it has no command token");
      if (config.commandKey === null)
        throw new AppError(
          "unauthenticated",
          "cannot accept the command: this agent has no command key and takes none over the network",
        );
      const verified = await verifyCommand({ key: config.commandKey, placement: config.placement, token });
      if (verified.command.kind !== kind)
        throw new AppError("unauthenticated", `cannot accept the request: its token is not for "${kind}"`);
      // No await between the look and the claim: of two requests with one token only one comes through.
      if (!claim(verified))
        throw new AppError(
          "token-replayed",
          "cannot accept the command: its token was used before; send a new one",
        );
      refuseStaleTerm(journal.facts, verified);
      const { command } = verified;
      // What joins an operation that is there writes nothing else.
      if ("key" in command && Object.hasOwn(journal.facts.operations, command.key))
        await journal.update((facts) => withTerm(facts, verified));
      return verified as PassedCommand<K>;
    },
    async keepNonce(verified) {
      if (verified.command.kind === "read") return;
      await journal.update((facts) =>
        Object.hasOwn(facts.nonces, verified.nonce) ? facts : withNonce(facts, verified),
      );
    },
  };
}
