#!/usr/bin/env node
// @ts-check
// The command `lewes`. Plain JavaScript for Node 20 and later: it must at least start where the rest cannot, to install what
// is missing in a clone or to say what is wrong. What it decides and does is in launch.js.

import process from 'node:process';
import { launch } from './launch.js';

await launch(process.argv.slice(2));
