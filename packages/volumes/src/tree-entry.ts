import * as v from "valibot";

const text = v.string();
const integer = v.pipe(v.number(), v.safeInteger());

/** Names are bytes: each character of a path is one of them (latin1). */
export const treeEntrySchema = v.object({
  /** Below the tree's root; "" is the root. */
  path: text,
  kind: v.picklist(["file", "directory", "symlink", "fifo", "device"]),
  mode: integer,
  uid: integer,
  gid: integer,
  /** Of a file, else 0: a folder's says nothing. */
  size: integer,
  mtimeNs: text,
  /** Of a file's bytes; null when they were not asked for. */
  sha256: v.nullable(text),
  /** Of a symbolic link, bytes as in `path`. */
  target: v.nullable(text),
  /** Major and minor number of a device. */
  device: v.nullable(text),
  /** Extended attributes and ACLs, a line each; null when they were not asked for. */
  attributes: v.nullable(text),
  /** The first path of the same file; null for that one itself. */
  sameAs: v.nullable(text),
  /** Fewer bytes are allocated than it has. */
  sparse: v.boolean(),
  /** Of this very tree on this machine: what tells that somebody touched it. */
  inode: text,
  ctimeNs: text,
});
export type TreeEntry = v.InferOutput<typeof treeEntrySchema>;

/** As people can read it. */
export const readable = (path: string): string =>
  path === "" ? "its own folder" : JSON.stringify(Buffer.from(path, "latin1").toString("utf8"));
