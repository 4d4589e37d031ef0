import { createCipheriv, pbkdf2Sync, randomBytes } from "node:crypto";

/**
 * A body as MinIO's admin API wants bodies with secrets: under a key derived from the administrator's secret. The variant with PBKDF2 and
 * AES-GCM, as Node has both; a body of one fragment (at most 16 KiB) is all that is needed.
 *
 * salt (32) | 0x02 | nonce (8) | ciphertext | tag (16). The fragments are numbered in the last 4 bytes of the nonce; what number 0 authenticates is
 * bound to each, after a byte that marks the last one.
 *
 * @see https://pkg.go.dev/github.com/minio/madmin-go/v3#EncryptData
 * @see https://pkg.go.dev/github.com/secure-io/sio-go
 */
export function encryptForAdmin(secret: string, body: string): Buffer {
  const data = Buffer.from(body);
  if (data.byteLength > 16_384) throw new RangeError("the body is longer than one fragment");
  const salt = randomBytes(32);
  const nonce = randomBytes(8);
  const key = pbkdf2Sync(secret, salt, 8_192, 32, "sha256");
  const seal = (number: number, plain: Uint8Array, bound: Uint8Array): Buffer => {
    const counter = Buffer.alloc(4);
    counter.writeUInt32LE(number);
    const cipher = createCipheriv("aes-256-gcm", key, Buffer.concat([nonce, counter]));
    cipher.setAAD(bound);
    return Buffer.concat([cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
  };
  const opening = seal(0, new Uint8Array(), new Uint8Array());
  const last = Buffer.from([0x80]);
  return Buffer.concat([salt, Buffer.from([0x02]), nonce, seal(1, data, Buffer.concat([last, opening]))]);
}
