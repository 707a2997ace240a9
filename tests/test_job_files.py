"""The job files of docs/distributed.md: what they tell the workers is a cluster, and when they start them again."""

import json
import os
import pathlib
import subprocess

import pytest
import yaml

from slimft.cli.finetune import define_flags
from slimft.training.cluster.members import Cluster, cluster_of

DOCS = pathlib.Path(__file__).resolve().parents[1] / "docs"
KUBERNETES = DOCS / "kubernetes" / "finetune.yaml"
SLURM = DOCS / "slurm" / "finetune.sbatch"
# In the place of a command: leaves what it was told in a file of its own.
RECORDER = """#!/bin/bash
echo "$TF_CONFIG" > "$RECORD/config-${SLURM_PROCID:-$JOB_COMPLETION_INDEX}"
printf '%s\\n' "$@" > "$RECORD/arguments"
"""


def put(folder, name, text):
    file = folder / name
    file.write_text(text)
    file.chmod(0o755)


def environment(tmp_path, **more):
    (tmp_path / "bin").mkdir(exist_ok=True)
    put(tmp_path / "bin", "slimft-finetune", RECORDER)
    path = f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "RECORD": str(tmp_path), **more}


def check_flags(arguments):
    from absl import flags

    values = flags.FlagValues()
    define_flags(values)
    assert values(["finetune", *arguments]) == ["finetune"]


@pytest.fixture(scope="module")
def manifests():
    return {one["kind"]: one for one in yaml.safe_load_all(KUBERNETES.read_text())}


@pytest.mark.parametrize("number", [2, 4, 12])
def test_pods_know_each_other(manifests, tmp_path, number):
    (container,) = manifests["Job"]["spec"]["template"]["spec"]["containers"]
    for index in range(number):
        told = {"WORKERS": str(number), "JOB_COMPLETION_INDEX": str(index)}
        command = [*container["command"], *container["args"]]
        subprocess.run(command, env=environment(tmp_path, **told), check=True)
        found = cluster_of({"TF_CONFIG": (tmp_path / f"config-{index}").read_text()})
        assert found == Cluster(tuple(f"finetune-{other}.finetune:2222" for other in range(number)), index)
    check_flags((tmp_path / "arguments").read_text().splitlines())


def test_the_parts_of_the_manifest_agree(manifests):
    service, policy, job = (manifests[kind] for kind in ("Service", "NetworkPolicy", "Job"))
    spec, pod = job["spec"], job["spec"]["template"]
    (container,) = pod["spec"]["containers"]
    (port,) = (one["containerPort"] for one in container["ports"])
    # A pod's name is NAME-INDEX, and its address is under that in the subdomain of a headless service.
    assert service["spec"]["clusterIP"] == "None" and service["spec"]["publishNotReadyAddresses"]
    assert service["metadata"]["name"] == pod["spec"]["subdomain"] == job["metadata"]["name"]
    assert pod["metadata"]["labels"] == service["spec"]["selector"] == policy["spec"]["podSelector"]["matchLabels"]
    assert [one["port"] for one in service["spec"]["ports"]] == [port]
    assert policy["spec"]["ingress"][0]["ports"] == [{"port": port}]
    workers = {one["name"]: one["value"] for one in container["env"]}["WORKERS"]
    assert spec["completions"] == spec["parallelism"] == int(workers) and spec["completionMode"] == "Indexed"
    # A policy on failures goes with pods that are not restarted in place.
    assert pod["spec"]["restartPolicy"] == "Never"
    (codes,) = (one["onExitCodes"] for one in spec["podFailurePolicy"]["rules"] if "onExitCodes" in one)
    assert codes["values"] == [1, 2] and codes["containerName"] == container["name"]


def slurm(tmp_path, statuses, *arguments):
    """Runs the script where `srun` starts a worker for each host, and ends with the next of `statuses`."""
    (tmp_path / "statuses").write_text("".join(f"{status}\n" for status in statuses))
    told = environment(tmp_path, SLURM_JOB_ID="1234567", SLURM_JOB_NODELIST="node[07-09]")
    show = 'if [ "$1" = show ]; then printf "%s\\n" node07 node08 node09; fi\n'
    put(tmp_path / "bin", "scontrol", f'#!/bin/bash\necho "$@" >> "$RECORD/scontrol"\n{show}')
    put(
        tmp_path / "bin",
        "srun",
        '#!/bin/bash\necho run >> "$RECORD/runs"\nshift\n'
        'for i in 0 1 2; do SLURM_PROCID=$i "$@"; done\n'
        'status=$(head -n 1 "$RECORD/statuses"); sed -i 1d "$RECORD/statuses"; exit "$status"\n',
    )
    done = subprocess.run(["bash", str(SLURM), *arguments], env=told, capture_output=True, text=True)
    return done, (tmp_path / "runs").read_text().split(), (tmp_path / "scontrol").read_text().splitlines()


def test_the_nodes_of_a_job_know_each_other(tmp_path):
    arguments = ["--model=cifarnet", "--train_dir=a b", "--steps=5"]
    done, runs, _ = slurm(tmp_path, [0], *arguments)
    assert done.returncode == 0 and runs == ["run"], done.stderr
    for index in range(3):
        found = cluster_of({"TF_CONFIG": (tmp_path / f"config-{index}").read_text()})
        assert found == Cluster(tuple(f"node0{node}:24567" for node in (7, 8, 9)), index)
        assert json.loads((tmp_path / f"config-{index}").read_text())["task"]["type"] == "worker"
    assert (tmp_path / "arguments").read_text().splitlines() == arguments
    check_flags(arguments)


@pytest.mark.parametrize(
    "statuses, ends, times",
    [([75, 137, 0], 0, 3), ([2], 2, 1), ([75, 1], 1, 2), ([143], 143, 1), ([75] * 20, 75, 11)],
)
def test_when_the_workers_are_started_again(tmp_path, statuses, ends, times):
    done, runs, told = slurm(tmp_path, statuses)
    assert (done.returncode, len(runs)) == (ends, times), done.stderr
    assert ("requeue 1234567" in told) == (ends == 143)
