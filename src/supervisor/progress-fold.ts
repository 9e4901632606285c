import { extend, fold, noteLife, startProgress, summarize } from '../progress/fold.js';
import { notResumed } from '../progress/not-resumed.js';
import type { HealthFinding, Progress } from '../progress/types.js';
import type { Inheritance } from './parts.js';
import type { LogOffsets } from './ports.js';
import type { Loop } from './supervise.js';

/** Findings that are remembered as told. */
const mostFindings = 100;

/** An attempt's heartbeats, folded as they come. */
export interface ProgressFold {
  readonly progress: Progress;
  /** @param offsets how far the logs were read before this line */
  line(text: string, offsets: () => LogOffsets): void;
  /** The checkpoint folder grew, or a file that stands for progress: the worker lives. */
  grew(): void;
  /** Takes back time that must not be held against the worker, ms. */
  extend(ms: number): void;
}

/**
 * Folds lines, and tells the policy what is new about the attempt as a whole; single heartbeats are no events.
 * @param known what an earlier supervisor of this attempt knew; the time since then is not held against the worker
 */
export function createProgressFold(loop: Loop, known?: Inheritance): ProgressFold {
  const { mono, ...now } = loop.now();
  let progress = known ? extend(known.progress, mono - known.mono) : startProgress({ ...now, mono });
  const read = loop.parts.heartbeatReader();
  let told = { first: false, step: false };
  const findings = new Set<HealthFinding>();
  let missed: HealthFinding | undefined;

  function tell(): void {
    const first = progress.lastProgressMono !== undefined;
    const step = progress.firstStep !== undefined;
    if ((first && !told.first) || (step && !told.step)) {
      loop.post({ type: 'progressed', summary: summarize(progress) });
    }
    // what it was to go on from can be asked for before what is posted now is judged
    if (step && !told.step) missed = beganAnew();
    told = { first, step };
    for (const finding of [progress.unhealthy, progress.spike, progress.wentBack, missed]) {
      if (!finding || findings.has(finding)) continue;
      // a spike is another object for each new one
      if (findings.size >= mostFindings) findings.clear();
      findings.add(finding);
      loop.post({ type: 'unhealthy', finding });
    }
  }

  function beganAnew(): HealthFinding | undefined {
    const state = loop.state();
    const resume = state.name === 'running' || state.name === 'starting' ? state.resume : undefined;
    const finding = resume && notResumed(progress, resume, state.ledger.timing);
    return finding && { ...finding, advice: loop.parts.resumeAdvice() };
  }

  /** Lines without a heartbeat came since the progress was last asked for: a flood of them must cost little. */
  let linesCame = false;
  const upToDate = (): Progress => {
    if (linesCame) progress = noteLife(progress, loop.now());
    linesCame = false;
    return progress;
  };

  return {
    get progress() {
      return upToDate();
    },
    line(text, offsets) {
      const heartbeats = read(text);
      if (heartbeats.length === 0) {
        linesCame = true;
        return;
      }
      const now = loop.now();
      for (const heartbeat of heartbeats) {
        progress = fold(progress, heartbeat, now);
        if (!heartbeat.bar) loop.parts.heartbeat(heartbeat, now.at, offsets());
      }
      tell();
    },
    grew() {
      progress = noteLife(upToDate(), loop.now(), 'checkpoint-growth');
    },
    extend(ms) {
      progress = extend(upToDate(), ms);
    },
  };
}
