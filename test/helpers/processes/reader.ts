/** Runs the code under test in a child process. */

import {fileURLToPath} from 'node:url';
import type {CacheQuery, CacheSlice} from '../../../dist/backend/backend.js';
import type {GetTokenOptions, SharedTokenCacheAccount, SharedTokenCacheCredentialOptions} from '../../../dist/types.js';
import {runProgram} from './run-program.js';

export type ReaderJob = {
	variant: 'native' | 'pure';
	/** The query for each source. The process adds the time. */
	query: Omit<CacheQuery, 'nowSec'>;
	/** The embedded endpoint, used as the authority. */
	server: {port: number; ca: string};
	/** Options of the credential. */
	options: SharedTokenCacheCredentialOptions;
	/** Token requests to the credential, made one after another. */
	requests: Array<{scope: string; options?: Pick<GetTokenOptions, 'enableCae' | 'tenantId' | 'claims'>}>;
};

export type SourceReport = {
	label: string;
	slice: CacheSlice | null;
	stamp: string | null;
	/** The code of the `StoreError` if the source could not be read. */
	errorCode?: string;
};

export type TokenReport =
	| {token: string; expiresOnTimestamp: number}
	| {name: string; message: string; code?: string};

export type ReaderReport = {
	/** All sources that the variant supports. */
	sources: SourceReport[];
	accounts: SharedTokenCacheAccount[];
	tokens: TokenReport[];
};

const program = fileURLToPath(new URL('reader-program.ts', import.meta.url));

/** @param environment The complete environment of the process. */
export async function readInProcess(job: ReaderJob, environment: Readonly<Record<string, string | undefined>>): Promise<ReaderReport> {
	return JSON.parse(await runProgram(process.execPath, ['--import=tsx', program], {input: JSON.stringify(job), environment})) as ReaderReport;
}
