// The rows of table.mjs: for each framework its trainer in fixtures/, what it calls the checkpoint of a step, and what
// a save of it that was cut off leaves in the folder.

/** What the trainers are told: steps between saves, and so the steps of the first three. */
export const every = 2;

const framework = (script, ...flags) => ({ script: `frameworks/${script}.py`, flags, resume: ['--resume'] });
const documented = (name) => ({ ...framework('documented', '--framework', name), documented: true });

/** A folder whose largest file was being written; the names in `without` come after it. */
const folderCut = (...without) => ({ as: 'folder', without });
const fileCut = { as: 'file', without: [] };
/** Its framework renames when all is written: a save that was cut off lies under another name. */
const temporary = (suffix, ...without) => ({ as: 'folder', suffix, without });

export const frameworks = [
  {
    name: 'PyTorch, a folder a step',
    layout: 'generic',
    script: 'trainers/digits_torch.py',
    flags: ['--folders'],
    resume: [],
    unit: (step) => `step-${String(step).padStart(6, '0')}`,
    torn: folderCut(),
  },
  {
    name: 'PyTorch, in place',
    layout: 'generic',
    script: 'trainers/digits_torch.py',
    flags: ['--in-place'],
    resume: [],
    inPlace: 'ckpt.pt',
  },
  {
    name: 'safetensors',
    layout: 'generic',
    ...framework('safetensors_steps'),
    unit: (step) => `step-${step}.safetensors`,
    torn: fileCut,
  },
  {
    name: 'transformers Trainer',
    layout: 'huggingface',
    ...framework('transformers_trainer'),
    unit: (step) => `checkpoint-${step}`,
    torn: folderCut('scheduler.pt', 'rng_state.pth', 'trainer_state.json'),
  },
  {
    name: 'accelerate',
    layout: 'accelerate',
    ...framework('accelerate_states'),
    folder: 'project/checkpoints',
    unit: (step) => `checkpoint_${step / every - 1}`,
    torn: folderCut('random_states_0.pkl', 'custom_checkpoint_0.pkl'),
  },
  {
    name: 'diffusers-style',
    layout: 'diffusers',
    ...framework('diffusers_style'),
    resume: ['--resume_from_checkpoint', 'latest'],
    unit: (step) => `checkpoint-${step}`,
    torn: folderCut('random_states_0.pkl'),
  },
  {
    name: 'Lightning, last.ckpt a copy',
    layout: 'lightning',
    ...framework('lightning_fit'),
    // a rollback to the latest would rightly be content with last.ckpt
    latest: 'a copy',
    unit: (step) => `epoch=${Math.ceil(step / 4) - 1}-step=${step}.ckpt`,
    torn: fileCut,
  },
  {
    name: 'Lightning, last.ckpt a link',
    layout: 'lightning',
    ...framework('lightning_fit', '--save-last', 'link'),
    unit: (step) => `epoch=${Math.ceil(step / 4) - 1}-step=${step}.ckpt`,
    torn: { ...fileCut, link: 'last.ckpt' },
  },
  {
    name: 'torch DCP',
    layout: 'dcp',
    ...framework('torch_dcp'),
    unit: (step) => `step-${step}`,
    torn: folderCut('.metadata'),
  },
  {
    name: 'torch DCP, 2 ranks',
    layout: 'dcp',
    ...framework('torch_dcp', '--ranks', '2'),
    unit: (step) => `step-${step}`,
    torn: folderCut('.metadata'),
  },
  {
    name: 'Orbax',
    layout: 'orbax',
    ...framework('orbax_manager'),
    unit: (step) => `${step}`,
    torn: temporary('.orbax-checkpoint-tmp', 'commit_success.txt'),
  },
  {
    name: 'flax (by Orbax)',
    layout: 'flax',
    ...framework('flax_checkpoints'),
    unit: (step) => `checkpoint_${step}`,
    torn: temporary('.orbax-checkpoint-tmp', 'commit_success.txt'),
  },
  {
    name: 'flax (msgpack)',
    layout: 'flax',
    ...framework('flax_checkpoints', '--legacy'),
    unit: (step) => `checkpoint_${step}`,
    torn: { as: 'file', name: 'checkpoint_tmp', without: [] },
  },
  {
    name: 'Keras BackupAndRestore',
    layout: 'keras',
    ...framework('keras_backup'),
    inPlace: 'latest.weights.h5',
  },
  {
    name: 'Megatron-LM',
    layout: 'megatron',
    ...documented('megatron'),
    unit: (step) => `iter_${String(step).padStart(7, '0')}`,
    torn: folderCut(),
  },
  {
    name: 'DeepSpeed',
    layout: 'deepspeed',
    ...framework('deepspeed_zero'),
    unit: (step) => `global_step${step}`,
    torn: folderCut('zero_pp_rank_0_mp_rank_00_optim_states.pt'),
  },
  {
    name: 'Composer',
    layout: 'composer',
    ...documented('composer'),
    unit: (step) => `ep0-ba${step}-rank0.pt`,
    torn: { ...fileCut, link: 'latest-rank0.pt' },
  },
  {
    name: 'nanoGPT',
    layout: 'nanogpt',
    ...documented('nanogpt'),
    inPlace: 'ckpt.pt',
  },
  {
    name: 'Ultralytics',
    layout: 'ultralytics',
    ...documented('ultralytics'),
    inPlace: 'last.pt',
  },
  {
    name: 'mmengine',
    layout: 'mmengine',
    ...documented('mmengine'),
    unit: (step) => `iter_${step}.pth`,
    torn: fileCut,
  },
];
