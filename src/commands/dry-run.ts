import type { GlobalOptions } from '../cli.js';
import { openCheckpointFolders } from '../checkpoints/many/open.js';
import { openCheckpointStore } from '../checkpoints/open.js';
import type { LayoutName } from '../checkpoints/layouts/registry.js';
import { resolveCommand } from '../engines/local/resolve-command.js';
import { chooseRollback } from '../policy/rollback-choice.js';
import type { Line } from '../report/narrate.js';
import { defaultRunName } from '../runs/run-name.js';
import { maskArgv } from '../util/mask.js';
import { formatDuration } from '../util/duration.js';
import { exitStatus, ok } from '../util/result.js';
import { createOutput } from './output.js';
import { refuse } from './refuse.js';
import { applyResume } from './resume.js';
import { idlePreset, recipeFor } from './resume-plan.js';
import type { RunPlan } from './run-plan.js';
import { systemClock } from './run-parts.js';

/** `run --dry-run`: says what would be done; writes nothing. */
export async function describePlan(plan: RunPlan, options: GlobalOptions): Promise<number> {
  const json = options.json === true;
  const command = resolveCommand(plan.argv[0], process.env, plan.cwd);
  if (!command.ok) return refuse(command.error, json);
  const name = plan.name ?? defaultRunName(plan.argv);
  const lines: Line[] = [
    { tone: 'start', text: `would run ${name} in ${plan.stateDir}` },
    ...plan.notices.map((text): Line => ({ tone: 'warning', text })),
  ];
  const say = (text: string): void => void lines.push({ tone: 'detail', text });
  let resume: { path: string; step?: number } | undefined;
  let moves: readonly string[] = [];
  let recognised = '';
  let dir: string | undefined;
  if (plan.checkpoints) {
    const { dirs, layout, guessed, words } = plan.checkpoints;
    const options = {
      guessed,
      layout: layout as 'auto' | LayoutName,
      provenAfterMs: plan.policy.provenAfterMs,
      runId: '',
      runStartedAt: systemClock.now(),
      clock: systemClock,
      readOnly: true,
      ...(plan.verify !== undefined && { verify: plan.verify }),
      nonFinite: plan.policy.health.nonFinite,
      onNotice: say,
      ...(plan.checkpoints.vault !== undefined && { vault: plan.checkpoints.vault }),
    };
    const opened = await openCheckpointFolders(
      dirs,
      async (one) => {
        const store = await openCheckpointStore({ ...options, dir: one });
        return store.ok ? ok({ store: store.value, release: () => Promise.resolve() }) : store;
      },
      systemClock,
      say,
    );
    if (!opened.ok) return refuse(opened.error, json);
    const { store } = opened.value;
    dir = store.dir;
    const found = await store.inspect({ live: false, budgetMs: 60_000 });
    if (!found.ok) return refuse(found.error, json);
    const { checkpoints } = found.value;
    recognised = store.layout;
    say(
      `checkpoints in ${(store.dirs ?? [store.dir]).join(', ')} (${store.layout}; ${words}): ${checkpoints.length}`,
    );
    const { rollbackEnabled, allowScratch } = plan.policy;
    const choice = chooseRollback({
      checkpoints,
      guessed,
      rollbackEnabled,
      allowScratch,
      everVerified: false,
      mayBeginAnew: true,
    });
    if (choice.type === 'roll-back') {
      moves = choice.moves;
      say(`would move ${choice.moves.join(', ')} to quarantine: ${choice.reason}`);
    }
    const target =
      choice.type === 'keep' ? choice.resume : choice.type === 'roll-back' ? choice.target : undefined;
    const step = target?.step ?? target?.number;
    if (target) resume = { path: target.path, ...(step !== undefined && { step }) };
    say(target ? `would resume from ${target.id} (${target.standing})` : 'would train from the beginning');
    await store.close();
  } else {
    say('no checkpoint folder was found: no rollback (name it with --checkpoint-dir)');
  }
  const point = resume && { ...resume, ...(dir !== undefined && { dir }) };
  const { argv } = applyResume(plan.argv, recipeFor(plan.resume, recognised), point);
  const idle = resume && idlePreset(plan.resume, recognised);
  if (idle !== undefined) say(idle);
  say(`command: ${maskArgv(argv).join(' ')}`);
  const { maxRetries, backoff, stop } = plan.policy;
  say(
    `up to ${maxRetries} retries in a row, waiting ${formatDuration(backoff.initialMs)} to ${formatDuration(backoff.maxMs)}; ` +
      `${stop.signal} and ${formatDuration(stop.graceMs)} to stop`,
  );
  for (const { argv } of plan.preflight) say(`before a retry: ${maskArgv(argv).join(' ')}`);
  for (const [name, hook] of Object.entries(plan.hooks)) say(`${name}: ${maskArgv(hook.argv).join(' ')}`);
  if (plan.serve) say('workers would report by HTTP too');
  const notified = plan.notify.map(({ shown }) => shown);
  if (notified.length > 0) say(`would notify ${notified.join(', ')}`);
  const output = createOutput(options);
  output.say(lines);
  if (json) {
    output.json({
      run: name,
      stateDir: plan.stateDir,
      argv: maskArgv(argv),
      resume: resume ?? null,
      moves,
      notify: notified,
      policy: plan.policy,
    });
  }
  return exitStatus.done;
}
