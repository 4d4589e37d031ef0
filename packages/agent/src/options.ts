/*
 * Every option of the agent, once: as a flag, as a variable (BATON_ and the flag in capitals), and as its place in the configuration file.
 * What a value may be is said by the schema of the configuration alone.
 */

type Value =
  | "text"
  | "number"
  | "flag"
  | "address"
  /** A JSON array of words, or a line for `sh -c`. */
  | "command"
  /** A file of JSON. */
  | "json-file"
  /** May be given again; in a variable separated by commas. */
  | "texts"
  | "numbers"
  /** A:B */
  | "pairs"
  | "rungs";

export interface Option {
  readonly flag: string;
  /** Where it belongs in the configuration. */
  readonly path: readonly string[];
  readonly value: Value;
  readonly help: string;
}

const option = (flag: string, path: string, value: Value, help: string): Option => ({
  flag,
  path: path.split("."),
  value,
  help,
});

export const options: readonly Option[] = [
  option(
    "state-directory",
    "stateDirectory",
    "text",
    "what outlives the agent: journal, key, receipts (/var/lib/baton)",
  ),
  option("placement", "placement", "text", "id of the placement (made once and kept)"),
  option("application", "application", "text", "its name in receipts (application)"),
  option(
    "listen",
    "listen",
    "address",
    "HOST:PORT of the API, or none (0.0.0.0:7310; attach: 127.0.0.1:7310)",
  ),
  option("tls-certificate", "tls.certificate", "text", "PEM file; the API speaks TLS"),
  option("tls-key", "tls.key", "text", "PEM file"),
  option(
    "tls-client-ca",
    "tls.clientCa",
    "text",
    "PEM file; only clients with a certificate of it are served",
  ),
  option(
    "command-key",
    "commandKey",
    "json-file",
    "JWK file of the public key that commands are signed with",
  ),
  option("confirm-url", "confirm.url", "text", "gets every receipt by POST"),
  option("storage-endpoint", "storage.endpoint", "text", "URL of the S3 store that holds the lease"),
  option("storage-region", "storage.region", "text", "region to sign for"),
  option("storage-bucket", "storage.bucket", "text", "bucket"),
  option("storage-prefix", "storage.prefix", "text", "the application's part of the bucket: ledger/"),
  option("storage-addressing", "storage.addressing", "text", "path or virtual-host"),
  option("storage-if-match", "storage.ifMatch", "text", "quoted or bare: how the store wants ETags"),
  option("storage-owner", "storage.owner", "text", "whom the lease must name as its owner"),
  option("storage-control", "storage.control.file", "text", "JSON file of the key for the control prefix"),
  option("storage-renew-ms", "storage.renewMs", "number", "pause between two renewals of the lease"),
  option("storage-lost-after-ms", "storage.lostAfterMs", "number", "a lease not renewed for so long is lost"),
  option(
    "application-port",
    "applicationPort",
    "number",
    "the application is told it (PORT) and asked for its readiness there",
  ),
  option(
    "preset",
    "hook.preset",
    "text",
    "generic, redis, valkey, postgres, mysql, mariadb, nginx, node, jvm",
  ),
  option("drain-timeout-ms", "hook.drain.timeoutMs", "number", "wait so long for clients to leave"),
  option(
    "drain-delay-ms",
    "hook.drain.delayMs",
    "number",
    "before that: time for load balancers to see the readiness",
  ),
  option("drain-max-connections", "hook.drain.maxConnections", "number", "so many may stay connected (0)"),
  option("drain-quiet-ms", "hook.drain.quietMs", "number", "and that for so long (0)"),
  option("quiesce", "hook.quiesce.command", "command", "run before any signal; its failure refuses the stop"),
  option("quiesce-undo", "hook.quiesce.undo", "command", "takes it back when the stop is refused"),
  option("quiesce-timeout-ms", "hook.quiesce.timeoutMs", "number", "(30000)"),
  option("quiesce-on-failure", "hook.quiesce.onFailure", "text", "refuse or continue"),
  option("signal", "hook.signal", "text", "first signal: TERM, 15, RTMIN+3"),
  option("signal-to", "hook.signalTo", "text", "main or tree"),
  option("grace-ms", "hook.graceMs", "number", "from the first signal until the tree must be gone"),
  option("escalate", "hook.escalation", "rungs", "SIGNAL:MS, may be given again"),
  option("kill-allowed", "hook.killAllowed", "flag", "SIGKILL may follow the last signal"),
  option(
    "graceful-exit-code",
    "hook.gracefulExitCodes",
    "numbers",
    "counts as graceful (0); may be given again",
  ),
  option("graceful-signal", "hook.gracefulSignals", "texts", "a death by it counts as graceful"),
  option("marker", "hook.marker.file", "text", "file that the application leaves at a clean end"),
  option("data-directory", "hook.dataDirectories", "texts", "must be closed and flushed after the stop"),
  option("export", "hook.export.command", "command", "what leaves at the stop, once all is gone"),
  option("export-timeout-ms", "hook.export.timeoutMs", "number", "(60000)"),
  option("on-refused", "hook.onRefused", "text", "serve or hold"),
  option("on-lease-lost", "hook.onLeaseLost", "text", "keep or stop"),
  option("readiness-path", "readiness.path", "text", "answers 2xx once the application can serve"),
  option("readiness-timeout-ms", "readiness.timeoutMs", "number", "(30000)"),
  option("start", "start", "text", "immediately, or held until a grant (held where storage is configured)"),
  option("after-exit", "afterExit", "text", "exit or stay, when the application ended by itself"),
  option("map-exit-code", "exitCodes", "pairs", "A:B, may be given again: 143:0"),
  option("slot", "slot", "text", "names what the platform starts again: pod UID and container"),
  option("platform-grace-ms", "platformGraceMs", "number", "from SIGTERM to SIGKILL by the platform (10000)"),
  option(
    "termination-log",
    "terminationLog",
    "text",
    "file for the last word (/dev/termination-log where it is)",
  ),
  option("environment", "environment", "text", "inherit (all but BATON_ and KRAKE_) or clean"),
  option("output", "output", "text", "inherit, or file: application.log in the state directory"),
  option(
    "allow-new-privileges",
    "newPrivileges",
    "flag",
    "setuid programs of the application keep their effect",
  ),
  option("working-directory", "workload.workingDirectory", "text", "where the application is executed"),
  option(
    "krake",
    "krake.listen",
    "address",
    "HOST:PORT for PUT /shutdown of a Krake, which sends no credential",
  ),
  option("krake-deadline-ms", "krake.deadlineMs", "number", "(30000)"),
  option("gate", "attach.directory", "text", "attach: directory shared with `baton-agent gate`"),
  option("container", "attach.container", "text", "attach: part of the application's cgroup path"),
  option("pidfile", "attach.file", "text", "attach: file with the main process's id"),
  option("match", "attach.pattern", "text", "attach: regular expression on the command line"),
];

/** BATON_STATE_DIRECTORY for state-directory. */
export const variableOf = ({ flag }: Option): string => `BATON_${flag.replaceAll("-", "_").toUpperCase()}`;
