/**
 * Which layout the store has: a version in the table "meta", written before anything else, and looked at before anything
 * else is touched. A store of a later version is refused as it is; there is no earlier one yet.
 */
import type { Database, DatabaseOptions, RootDatabase } from 'lmdb';
import { noStore } from './lmdb-files.ts';
import { StoreError } from './store.ts';

const SCHEMA_VERSION = 1;
/** Random bytes of the process that has the store now: each commit looks whether that is still itself. */
export const META_OWNER = Buffer.from('owner');
const META_SCHEMA = Buffer.from('schema');
/** Unix seconds. */
const META_CREATED = Buffer.from('created');

type Meta = Database<Buffer, Buffer>;
/** `create` is missing from the binding's own type. */
type MetaOptions = DatabaseOptions & { name: string; create: boolean };

/** The table "meta" of a store that this version can use; makes it in an empty environment. Throws StoreError. */
export function checkSchema(root: RootDatabase<Buffer, Buffer>, path: string, readOnly: boolean): Meta {
  const settings: MetaOptions = { name: 'meta', encoding: 'binary', keyEncoding: 'binary', create: false };
  const made: MetaOptions = { ...settings, create: true };
  const stats: { entryCount?: number } = root.getStats();
  // Killed between its first two steps, a store has an empty "meta" and nothing else.
  const isNew = (stats.entryCount ?? 0) <= 1;
  let meta: Meta | undefined = root.openDB<Buffer, Buffer>(settings);
  if (meta === undefined && isNew && !readOnly) meta = root.openDB<Buffer, Buffer>(made);
  const text = meta?.getBinary(META_SCHEMA)?.toString();
  if (meta !== undefined && text === undefined && isNew && !readOnly) {
    writeSchema(meta);
    return meta;
  }
  if (meta === undefined || text === undefined || !/^[1-9][0-9]{0,8}$/.test(text)) {
    throw noStore(path);
  }
  if (Number(text) > SCHEMA_VERSION) throw newer(path, text);
  return meta;
}

function writeSchema(meta: Meta): void {
  meta.transactionSync(() => {
    meta.putSync(META_SCHEMA, Buffer.from(String(SCHEMA_VERSION)));
    meta.putSync(META_CREATED, Buffer.from(String(Math.floor(Date.now() / 1000))));
  });
}

function newer(path: string, version: string): StoreError {
  return new StoreError(
    'STORE_NEWER',
    `the registration store ${path} has schema version ${version}, and this program reads versions up to ${SCHEMA_VERSION}: ` +
      'use the program that wrote it, or restore a copy from before its upgrade',
  );
}
