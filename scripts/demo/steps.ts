/** What one variant of the package did in one run of the demo, as its child process reports it to the demo. */

export type Variant = 'native' | 'pure';

/** A step and how long it took, milliseconds. `note` is for people and holds no secret. */
export type Step = {name: string; ms: number; note: string};

export type VariantReport = {
	variant: Variant;
	steps: Step[];
	accounts: Array<{username: string; homeAccountId: string; usable: boolean; source: string}>;
	/** One line: why the run ended early. */
	failure?: string;
};

export type VariantJob = {
	variant: Variant;
	scope: string;
	options: {username?: string; tenantId?: string; authorityHost?: string; tokenCachePersistenceOptions?: {name?: string; readOnly?: boolean}};
	/** The cache file to let the access token expire in; absent on a real cache, which is never written. */
	expirePath?: string;
	/** Only does what the process after this one would do. */
	isNext?: boolean;
};
