/** Thread entry of a shard. */
import { serveShard } from './serve-shard.ts';

await serveShard();
