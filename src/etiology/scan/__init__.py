"""Scan a corpus of any size, and curate it: annotate → calibrate → decide → apply → verify.

1. `plan`: the list of shards, the number of tasks and all settings, frozen in one file before any work;
2. `inputs`: Parquet, JSON lines, WARC and Arrow files as pieces of rows, bad rows listed with their bytes' place;
3. `step`: scan one shard: patterns (`matching`), hashed n-grams (`linear`), a detector on what is left (`ports`);
4. `run`: the shards of a plan over processes, a Slurm array, or any executor that calls run(data, rank, world_size);
5. `review` and `calibrate`: a stratified sample is labelled, and the threshold follows from a policy;
6. `policy` and `apply`: what is done with which document, why and by whom; the new corpus and the quarantine.

A scan only writes beside the corpus. Nothing here imports torch: a detector is named, and imported by the worker.
"""
