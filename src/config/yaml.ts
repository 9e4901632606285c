import { defaultLoaders } from 'cosmiconfig';

/** Only cosmiconfig's loader: its search would run a .config/config.js of the working directory as code. */
export const loadYaml = (file: string, text: string): unknown =>
  defaultLoaders['.yaml'](file, text) as unknown;
