/**
 * A Krake for tests: the controller's shutdown command, the API's confirmation route and the certificates around them, with Krake's rules and
 * Krake's defects, from a description of the protocol and without a line of Krake. One application each.
 *
 *   const krake = await createKrake({ namespace: "system:admin", tls: true, mayConfirm: ["system:shutdown-hook"] });
 *   krake.environment                       what Krake injects: KRAKE_SHUTDOWN_URL and KRAKE_SHUTDOWN_TOKEN
 *   await krake.writeCertificates(folder)   ca-bundle.pem, cert.pem (the leaf alone, X.509 "v4"), key.pem
 *   await krake.command("127.0.0.1:10000")  PUT /shutdown, once; the answer with its time in ms
 *   await krake.shutDown({ address, … })    the controller's whole sequence: state, command, sleep, attempts, strategy
 *   krake.state = "DEGRADED"                any state by hand; `krake.observe("RUNNING")` is an observer's write: the waiting is lost with it
 *   krake.fail("conflict", "reset", …)      what happens to the next confirmations that reach the API, one each (see `Fault`)
 *   krake.commands, krake.confirms          all that was sent and received, in order
 *   await krake.until((k) => k.state === "READY_FOR_ACTION")
 *   await krake.close()
 *
 * Not like Krake's server: a client certificate of somebody else's ends the connection after the handshake instead of by an alert in it.
 */
import { randomBytes } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type ApiServer, type Confirm, type Fault, startApi } from "./api-server.ts";
import { type KrakeApplication, type KrakeState } from "./application.ts";
import { type KrakeAuthority, createAuthority } from "./certificates.ts";
import { type CommandAnswer, sendCommand } from "./command.ts";
import { type SequenceEnd, type SequenceOptions, runSequence } from "./shutdown-sequence.ts";

export interface KrakeOptions {
  /** As they stand in the URL: with `%3A` the address has it so, and the record has a colon. */
  readonly namespace?: string;
  readonly name?: string;
  readonly state?: KrakeState;
  /** `false`: the hook was never deployed for this application, which has no token then. */
  readonly deployed?: boolean;
  /** HTTPS: a client certificate is optional, and must be by our intermediate if there is one. */
  readonly tls?: boolean;
  /** `false`: a caller without a certificate gets 401. */
  readonly anonymous?: boolean;
  /** RBAC: the users that may confirm. Off unless given. */
  readonly mayConfirm?: readonly string[];
}

/** One command of the controller. */
export interface Command {
  readonly address: string;
  /** Epoch ms. */
  readonly at: number;
  /** Null while none has come. */
  answer: CommandAnswer | null;
  error: unknown;
}

export interface Krake {
  readonly url: string;
  readonly token: string;
  readonly environment: { readonly KRAKE_SHUTDOWN_URL: string; readonly KRAKE_SHUTDOWN_TOKEN: string };
  /** Null without TLS. */
  readonly authority: KrakeAuthority | null;
  state: KrakeState;
  /** The record itself; null once it was removed. */
  readonly application: KrakeApplication | null;
  readonly commands: readonly Command[];
  readonly confirms: readonly Confirm[];
  command(address: string): Promise<CommandAnswer>;
  shutDown(options: SequenceOptions): Promise<SequenceEnd>;
  /** `krakectl kube app retry`: from DEGRADED to WAITING_FOR_CLEANING. False in every other state. */
  retry(): boolean;
  observe(state: KrakeState): void;
  /** The controller has acted: no record, and 404 from now on. */
  remove(): void;
  fail(...faults: readonly Fault[]): void;
  /** Looks every 5 ms. @throws after `limitMs` */
  until(holds: (krake: Krake) => boolean, limitMs?: number): Promise<void>;
  /** @param commonName the user; `system:shutdown-hook` unless given */
  writeCertificates(folder: string, commonName?: string): Promise<void>;
  close(): Promise<void>;
}

export async function createKrake(options: KrakeOptions = {}): Promise<Krake> {
  const { namespace = "testing", name = "demo", state = "RUNNING", anonymous = true } = options;
  const token = randomBytes(32).toString("base64url");
  const authority = options.tls === true ? await createAuthority() : null;
  let application: KrakeApplication | null = {
    namespace: decodeURIComponent(namespace),
    name: decodeURIComponent(name),
    token: options.deployed === false ? null : token,
    state,
    shutdownGracePeriod: null,
    deletedAt: null,
    services: {},
  };
  const api: ApiServer = await startApi({
    authority,
    access: { anonymous, mayConfirm: options.mayConfirm ?? null },
    application: () => application,
  });
  const ended = new AbortController();
  const commands: Command[] = [];
  // Krake puts the namespace into the path as it is, a colon too.
  const url = `${api.endpoint}/kubernetes/namespaces/${namespace}/applications/${name}/shutdown`;
  const record = (): KrakeApplication => {
    if (application === null) throw new Error("the application was removed");
    return application;
  };

  const krake: Krake = {
    url,
    token,
    environment: { KRAKE_SHUTDOWN_URL: url, KRAKE_SHUTDOWN_TOKEN: token },
    authority,
    commands,
    confirms: api.confirms,
    get application() {
      return application;
    },
    get state() {
      return record().state;
    },
    set state(next) {
      record().state = next;
    },
    async command(address) {
      const command: Command = { address, at: Date.now(), answer: null, error: null };
      commands.push(command);
      try {
        command.answer = await sendCommand(address, ended.signal);
        return command.answer;
      } catch (error) {
        command.error = error;
        throw error;
      }
    },
    shutDown: (sequence) =>
      runSequence(
        {
          command: (address) => krake.command(address),
          application: () => application,
          signal: ended.signal,
        },
        sequence,
      ),
    retry() {
      const degraded = record();
      if (degraded.state !== "DEGRADED") return false;
      degraded.state = "WAITING_FOR_CLEANING";
      degraded.shutdownGracePeriod = null;
      return true;
    },
    observe(seen) {
      const observed = record();
      observed.state = seen;
      observed.shutdownGracePeriod = null;
    },
    remove: () => void (application = null),
    fail: (...faults) => api.fail(...faults),
    async until(holds, limitMs = 10_000) {
      for (const endAt = performance.now() + limitMs; !holds(krake);) {
        if (performance.now() > endAt)
          throw new Error(`did not happen in ${limitMs} ms: ${holds.toString()}`);
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
    },
    async writeCertificates(folder, commonName = "system:shutdown-hook") {
      if (authority === null) throw new Error("this Krake has no TLS");
      const { cert, key } = await authority.issue(commonName);
      await mkdir(folder, { recursive: true });
      await writeFile(join(folder, "ca-bundle.pem"), authority.root + authority.intermediate);
      await writeFile(join(folder, "cert.pem"), cert);
      await writeFile(join(folder, "key.pem"), key, { mode: 0o600 });
    },
    async close() {
      ended.abort();
      await api.close();
    },
  };
  return krake;
}
