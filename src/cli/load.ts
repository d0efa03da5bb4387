/**
 * `lewes load`: how much does a gateway take, and how fast is it then? Only the command's face is here; load-plan.ts and
 * load-nym-plan.ts check what was asked for, load-run.ts does the work.
 */
import type { Command } from 'commander';
import { action } from './exit.ts';
import type { LoadFlags } from './load-shape.ts';
import { PROTOCOL_DEFAULT, PROTOCOL_FLAG } from './protocol-option.ts';

const EXAMPLE = `
Scenarios: handshake (new connection, whole handshake, an echo inside it, Close), echo (on kept sessions), register (in the
handshake, with fresh keys; released at the end), rekey (of kept sessions), forward (a handshake with the exit through the
entry of --via), mixed (by the weights of --mix). LP1 has no echo, cannot release and cannot close a session.

With --rate the loop is open: operations begin at their times whatever becomes of the others, and latency counts from the
intended time, so that a stall of the gateway or of this program shows. Else it is closed: each of --clients begins the next
operation when it has the answer (after an error 0.1 s later), so a slow gateway is asked less. What was not begun because
too many were under way is counted as OVERLOADED_GENERATOR, and the report says when this program was the bottleneck.

A gateway admits 5 handshakes/s and 20 at once per source address (limits.handshakes_per_address, handshake_burst); all
others get Busy. So from one address a load of handshakes measures that limit. --sources N connects from N addresses of
127.0.0.0/8: for H handshakes per second give at least H/5 of them, or raise the limits of a gateway that is for testing.
Sessions for echo, rekey and forward take a handshake each before the run begins. An exit sees the entry as one address.
A session can be rekeyed once in 10 s, so R rekeyings per second take 10 R sessions, and a client does one in 10 s.

With --protocol nym the target is a nym-node, or the nym listener of a gateway, of your own. Scenarios: handshake (connect,
KKT, PSQ, close), initial (a handshake, then Initial with fresh keys, to which the node answers that it wants a credential;
register is the same), mixed. No credential is ever sent. The node is named as for "lewes probe": by --identity, with which its
announcement is verified (from --announcement, or from port 8080, 443 or 80 of the address), or by --lp-key and --kem-digest.
A nym-node gives no reasons, so errors are named by the step: KKT_CLOSED, PSQ_CLOSED, INITIAL_REFUSED. With --pipelined both
messages of a handshake leave at once, which saves a round trip; a node that cannot take it closes. For each Initial a nym-node
sets a pair of addresses aside for an hour, of some 65,000; a gateway for registration.quote_hold, and 16 at once per source
address (limits.quotes_per_address).

Exit code: 0; 1 if nothing was completed or more than --max-error-share failed; 2 for wrong use. SIGINT ends a run early,
with its report.

Example:
  $ lewes load 127.0.0.1:41264 --identity KEY --rate 200 --sources 100 --duration 30 --html report.html
  $ lewes load 127.0.0.1:41264 --identity KEY --scenario echo --clients 16 --size 1024
  $ lewes load 127.0.0.1:41264 --identity KEY --scenario echo --rate 5000 --arrivals fixed --sessions 16 --json
  $ lewes load 127.0.0.1:41264 --identity KEY --scenario mixed --mix handshake=5,echo=80,rekey=10,register=5 --rate 500 --sources 50
  $ lewes load 127.0.0.1:41265 --identity EXITKEY --scenario forward --via 127.0.0.1:41264/ENTRYKEY --rate 4
  $ lewes load 127.0.0.1:41265 --protocol nym --identity KEY --announcement http://127.0.0.1:9464 --scenario initial --rate 100`;

export function register(program: Command): void {
  program
    .command('load')
    .summary('put a gateway under load and report what it does')
    .description('Generates load for a gateway of your own and reports rates, latencies and errors.')
    .argument('<address:port>', 'the gateway; with --via the exit')
    .option('--identity <key>', 'its identity, in base58 or hex')
    .option('--via <address:port/key>', 'the entry, for forward; IPv6 as [::1]:41264/KEY')
    .option('--announcement <url|file>', 'nym: the announcement of the node (default: from its HTTP port)')
    .option('--lp-key <key>', 'nym: its LP key, instead of an announcement')
    .option('--kem-digest <hex>', 'nym: the digest of its ML-KEM-768 key, instead of an announcement')
    .option(
      '--scenario <name>',
      'handshake, echo, register, rekey, forward or mixed; nym: handshake, initial or mixed',
      'handshake',
    )
    .option('--mix <weights>', 'of mixed: how often each operation, as handshake=5,echo=80')
    .option('--rate <n>', 'open loop: operations per second')
    .option('--arrivals <kind>', 'of the open loop: poisson or fixed', 'poisson')
    .option('--clients <n>', 'closed loop: so many clients (default: 16, without --rate)')
    .option('--think <ms>', "closed loop: a client's pause between two operations", '0')
    .option('--ramp <seconds>', 'in which the load rises from nothing', '0')
    .option('--warm-up <seconds>', 'at full load, before it is measured', '1')
    .option('--duration <seconds>', 'of the measured time', '10')
    .option('--sources <n>', 'source addresses of 127.0.0.0/8, for targets on 127.0.0.0/8', '1')
    .option('--threads <n>', 'threads of the generator (default: one less than cores)')
    .option('--size <bytes>', 'what an echo carries', '256')
    .option('--sessions <n>', 'open loop: kept sessions of echo, rekey and forward (default: 16, or what rekey needs)')
    .option('--timeout <seconds>', 'for each operation', '10')
    .option('--max-in-flight <n>', 'open loop: operations under way at most', '10000')
    .option('--max-error-share <share>', 'failed operations beyond which the exit code is 1', '0.01')
    .option(PROTOCOL_FLAG, 'version of the protocol: 1, 2, or nym for nodes of the Nym network', PROTOCOL_DEFAULT)
    .option('--pipelined', 'nym: both messages of a handshake at once')
    .option('--keep-connections', 'LP1 only: several packets per connection, which older gateways do not take')
    .option('--token-file <file>', 'register: pay with tokens of this file (see "lewes token --out")')
    .option('--issuer <url>', 'register: pay with tokens that are fetched from this issuer')
    .option('--access-key-file <file>', 'access key for --issuer')
    .option('--html <file>', 'write a report with plots, one self-contained page')
    .option('--i-own-this-node', 'the target is not on this machine, and I may put it under load')
    .option('--json', 'print JSON')
    .addHelpText('after', EXAMPLE)
    .action(
      action(async (target: string, flags: LoadFlags) => {
        const { load } = await import('./load-run.ts');
        return load(target, flags);
      }),
    );
}
