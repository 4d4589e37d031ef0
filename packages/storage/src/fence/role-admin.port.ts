/**
 * What an old writer may still write by, or come back by:
 *
 * - `session`: a connection of the role, or a process of the server that works in its name
 * - `starting`: a connection that is being let in, nobody sees yet for whom; one that begins after `disable` is refused there
 * - `prepared`: a transaction that waits for a second word, which may come over any other connection
 * - `login`: the role may log in, again or still
 * - `power`: it can give itself another way in (make roles, run programs, give a password to a role that may log in), so that no list is complete
 */
export interface Remnant {
  readonly kind: "session" | "starting" | "prepared" | "login" | "power";
  /** The same in every listing while it is the same thing; for errors and records, too. */
  readonly id: string;
}

/**
 * A database server's administration of one application's roles. Every call is idempotent, ends within `timeoutMs`, and throws `storage-unclear` when
 * there was no answer and `storage-credentials` when it may not do or see what it is asked for.
 */
export interface RoleAdmin {
  /**
   * From now on nobody who begins to log in as the role is let in, for ever; a role that was never made is made so, which whoever is late to make it
   * finds. Sessions go on.
   */
  disable(params: { readonly role: string; readonly timeoutMs: number }): Promise<void>;
  /** Tells every session of the role to end; whether it did is seen by listing. What it is just committing may still be committed. */
  endSessions(params: { readonly role: string; readonly timeoutMs: number }): Promise<void>;
  /** Everything at one moment, at all databases of the server; an empty list is the server's word that there is nothing. */
  remnants(params: { readonly role: string; readonly timeoutMs: number }): Promise<readonly Remnant[]>;
}

/** Makes roles. */
export interface RoleIssuer {
  /**
   * A role that may log in with this password and is a member of `group`, in whose name it does everything from its first statement on: so what one placement makes
   * is not its own, and belongs to the next one as well. Idempotent, as long as the password is the same; nothing of a role that is there is changed.
   *
   * @throws AppError `fence-standing` when the role was disabled: it never comes back, and another epoch has another one.
   */
  issue(params: {
    readonly role: string;
    readonly password: string;
    readonly group: string;
    readonly timeoutMs: number;
  }): Promise<void>;
  /** The roles whose names are `prefix`, anything, "-" and a lower epoch, that may log in or have a session. */
  older(params: {
    readonly prefix: string;
    readonly epoch: number;
    readonly timeoutMs: number;
  }): Promise<readonly string[]>;
}

/** Only the server's own word that this role may not come in is `refused`. */
export type LoginAnswer =
  { readonly kind: "let-in"; readonly as: string } | { readonly kind: "refused"; readonly code: string };

/** Logs in with the old password where the application does, and out again. @throws `storage-unclear` when neither was said */
export type TryLogin = (params: { readonly timeoutMs: number }) => Promise<LoginAnswer>;
