import { isAppError } from "@baton/protocol";

/** Codes by which a store says that this key may do nothing; any other refusal (signature, clock, region) proves nothing about the key. */
const denials: readonly unknown[] = ["AccessDenied", "InvalidAccessKeyId", "UserSuspended", "AccountProblem"];

export const isDenial = (error: unknown): boolean =>
  isAppError(error) && error.code === "storage-credentials" && denials.includes(error.meta?.["s3Code"]);
