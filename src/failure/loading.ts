import { isForeign, userFrame } from './fingerprint.js';
import type { Frame, PythonError } from './traceback.js';

// EOFError, BadZipFile or JSONDecodeError may come from a data set as well as from a checkpoint: the traceback tells.

/** Libraries that read data sets, and functions of the user's that do, as `file in function`. */
const dataLibrary = /\/torch\/utils\/data\/|\/(?:web)?datasets?\//;
const dataFunction =
  /\bin (?:__getitem__|\w{0,60}(?:data_?set|data_?loader|collate)\w{0,60})$|data_?(?:set|loader)s?\.py in /i;
const dataWords = /\bdata|\btokens?\b|\bcache\b|\bcorpus\b/i;
/** Libraries that load checkpoints, as `file in function`. */
const checkpointReader =
  /\/checkpoint(?:s|ing)?\/|\/torch\/serialization\.py in |\bin \w{0,40}(?:load_state_dict|load_checkpoint|restore|from_pretrained|load_weights|load_model|load_from_json)\b/;
const checkpointWords = /check_?point|ckpt|resume|restore|snapshot|state|weights|\bmodel\b|optim|params/i;
/** Readers of formats: what a function of the user's calls when it is that function that reads. */
const formats =
  /\/(?:json|zipfile|tarfile|pickle|codecs|gzip)(?:\/|\.py)|\/(?:numpy|torch|safetensors|flax|keras|simplejson)\/|h5py|msgpack|^<frozen /;

const placeOf = ({ file, in: name }: Frame): string => `${file} in ${name ?? ''}`;

/** Whether a frame of the traceback, as `file in function`, is one of these. */
export const hasFrame = (error: PythonError, pattern: RegExp): boolean =>
  error.frames.some((frame) => pattern.test(placeOf(frame)));

/** Whether the traceback shows that a data set was being read. */
export function readsData(error: PythonError): boolean {
  const reader = readerOf(error);
  return (
    error.frames.some((frame) => (isForeign(frame) ? dataLibrary : dataFunction).test(placeOf(frame))) ||
    (reader !== undefined && dataWords.test(reader.code ?? ''))
  );
}

/** Whether the traceback shows that a checkpoint was being loaded. */
export function loadsCheckpoint(error: PythonError): boolean {
  if (error.frames.some((frame) => isForeign(frame) && checkpointReader.test(placeOf(frame)))) return true;
  const reader = readerOf(error);
  return reader !== undefined && checkpointWords.test(`${reader.in ?? ''} ${reader.code ?? ''}`);
}

/** The innermost frame of the user's, if it is what called the reader of a format. */
function readerOf(error: PythonError): Frame | undefined {
  const frame = userFrame(error);
  if (!frame || isForeign(frame)) return undefined;
  const inside = error.frames.slice(error.frames.indexOf(frame) + 1);
  return inside.every(({ file }) => formats.test(file)) ? frame : undefined;
}
