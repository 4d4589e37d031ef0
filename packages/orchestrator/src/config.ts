/** Paths of PEM files: the API's certificate, with what is between it and the authority, and its key. */
export interface TlsFiles {
  readonly certificate: string;
  readonly key: string;
}

export interface ListenSettings {
  readonly host: string;
  readonly port: number;
  readonly tls?: TlsFiles | undefined;
  /** Said by whoever knows that nobody reads along: beyond loopback without TLS. */
  readonly plainHttp?: boolean | undefined;
}

/** Everything that the orchestrator is told from outside, read once. */
export interface OrchestratorConfig {
  /** Keys, tokens and the embedded database live here. */
  readonly stateDirectory: string;
  /** Beyond loopback only with TLS, or where somebody says that it is not needed. */
  readonly listen: ListenSettings;
  /** Instead of those in the state directory: every replica of an installation needs the same. */
  readonly adminTokenFile?: string | undefined;
  readonly commandKeyFile?: string | undefined;
  /** Where agents reach any replica that lives; this one's own address unless given. */
  readonly publicUrl?: string | undefined;
  /** A Postgres server to use instead of the embedded one. */
  readonly databaseUrl?: string | undefined;
  /** The same in a file, since it has a password. */
  readonly databaseUrlFile?: string | undefined;
  /** What the `process` driver executes as agent; gets `run --config FILE`. */
  readonly agentCommand: readonly string[];
  /** How often every storage is probed, in ms; once a day by default. */
  readonly probeEveryMs?: number | undefined;
  /** So many days after its end an operation is deleted, unless it is one of the newest; 400 by default. */
  readonly keepDays?: number | undefined;
  /** A planted fault, for demonstrations and tests only. */
  readonly fault?: string | undefined;
  readonly logLevel: "silent" | "error" | "warn" | "info" | "debug";
}
