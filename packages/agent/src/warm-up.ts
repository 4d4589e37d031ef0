import { type PrivateKey, publicKeyOf, signCommand, verifyCommand } from "@baton/protocol";

/** Does once what the first stop would otherwise be the first to do: loading and compiling the cryptography takes longer than the stop. */
export async function warmUp(key: PrivateKey, placement: string): Promise<void> {
  const token = await signCommand({ key, placement, epoch: 0, command: { kind: "read" } });
  await verifyCommand({ key: publicKeyOf(key), placement, token });
}
