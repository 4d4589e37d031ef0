import { AppError } from "@baton/protocol";

export const standing = (identity: string): AppError =>
  new AppError(
    "fence-standing",
    `cannot issue a key of ${identity}: it was disabled for good; only another epoch gets another identity`,
  );
