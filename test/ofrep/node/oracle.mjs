// Evaluates flags as flagd does: reads {flags, cases: [{key, context}]} and writes
// one answer for each, of both ways in which flagd-core can follow a rule.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
const require = createRequire(process.env.CLIENTS + '/');
const { FlagdCore } = require('@openfeature/flagd-core');

const quiet = { error() {}, warn() {}, info() {}, debug() {} };
const { flags, cases } = JSON.parse(readFileSync(0, 'utf8'));
const ways = [false, true].map((interpret) => {
  const core = new FlagdCore(undefined, quiet, { disableDynamicCodeGeneration: interpret });
  core.setConfigurations(JSON.stringify(flags));
  return core;
});

function ask(core, { key, context }) {
  try {
    const d = core.resolveStringEvaluation(key, 'code default', context, quiet);
    return { value: d.value, variant: d.variant, reason: d.reason, error: d.errorCode ?? '' };
  } catch (e) {
    return { error: e.code ?? String(e) };
  }
}

process.stdout.write(JSON.stringify(cases.map((c) => ways.map((core) => ask(core, c)))));
