"""A Kubernetes cluster for tests, as a program: an API server over HTTP, and a kubelet that runs real containers.

    python kubeserver.py FOLDER CLAIM=FOLDER…

The server is kmock's; what it leaves out is added here: each Job must pass strict validation against the schema of
Kubernetes, is deleted after its pods, and has a uid. Jobs become pods, and pods become Docker containers, with what their
manifests say of user, root, capabilities, mounts and deadline. Files in FOLDER:

    address    where the server answers, written when it does
    journal    a line for each Job that was made: its name, its step and its allowance
    down       while it is there, every request is answered with 503
    lose       while it is there, Jobs are made, and the answer is 503
    disrupt    while it is there, pods that run are ended as by a failing node, and replaced
    hold       while it is there, pods wait for a node
"""

import asyncio
import datetime
import json
import shutil
import sys
import uuid
from pathlib import Path
from typing import Any

import kmock
import kubernetes_validate

STATE = Path(sys.argv[1])
CLAIMS = {claim: Path(folder) for claim, _, folder in (word.partition("=") for word in sys.argv[2:])}
VERSION = "1.37"
UNAVAILABLE = kmock.KubernetesError(status=503, reason="ServiceUnavailable", message="the server restarts")
JOBS, PODS = kmock.resource("batch/v1/jobs"), kmock.resource("v1/pods")


def now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat()


def is_set(flag: str) -> bool:
    return (STATE / flag).exists()


class Server(kmock.KubernetesEmulator):
    """kmock's emulator, stricter."""

    async def _handle(self, request: Any) -> Any:
        is_create = request.action == kmock.action.CREATE and request.resource == JOBS
        if is_set("down"):
            return await self._render_error(UNAVAILABLE)
        if is_create and (problem := self.admit(request.data)):
            return await self._render_error(problem)
        response = await super()._handle(request)
        if is_create:
            made = request.data["metadata"]
            notes = [made["annotations"][f"label-quality/{name}"] for name in ("step", "self")]
            with (STATE / "journal").open("a") as journal:
                journal.write(" ".join([made["name"], notes[0] or "-", notes[1]]) + "\n")
            if is_set("lose"):
                return await self._render_error(UNAVAILABLE)
        return response

    def admit(self, job: dict[str, Any]) -> kmock.KubernetesError | None:
        """Why a Job is not what the schema allows; others get what a server gives them."""
        try:
            kubernetes_validate.validate(job, VERSION, strict=True)
        except kubernetes_validate.ValidationError as error:
            return kmock.KubernetesError(status=422, reason="Invalid", message=str(error))
        job["metadata"] |= {"uid": str(uuid.uuid4()), "creationTimestamp": now(), "finalizers": ["foregroundDeletion"]}
        return None


async def run(*command: str) -> tuple[int, bytes]:
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, stdin=asyncio.subprocess.DEVNULL
    )
    output, _ = await process.communicate()
    return process.returncode or 0, output


def docker_command(name: str, pod: dict[str, Any]) -> list[str]:
    """The container that a pod's manifest asks for."""
    (container,) = pod["containers"]
    secured = {**pod["securityContext"], **container["securityContext"]}
    words = ["docker", "run", "--detach", "--name", name, "--network=none", f"--label=cluster={STATE}"]
    words += [f"--user={secured['runAsUser']}:{secured['runAsGroup']}"] if "runAsUser" in secured else []
    words += ["--read-only"] if secured["readOnlyRootFilesystem"] else []
    words += [f"--cap-drop={each}" for each in secured["capabilities"]["drop"]]
    words += ["--security-opt=no-new-privileges"] if secured["allowPrivilegeEscalation"] is False else []
    words += ["--init"] if pod["shareProcessNamespace"] else []
    words += [f"--env={each['name']}={each['value']}" for each in container["env"]]
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    for mount in container["volumeMounts"]:
        volume = volumes[mount["name"]]
        if "emptyDir" in volume:
            size = volume["emptyDir"]["sizeLimit"].removesuffix("M")
            words.append(f"--tmpfs={mount['mountPath']}:exec,mode=1777,size={size}m")
            continue
        source = CLAIMS[volume["persistentVolumeClaim"]["claimName"]] / mount.get("subPath", "")
        only = ",readonly" if mount["readOnly"] else ""
        words.append(f"--mount=type=bind,source={source},target={mount['mountPath']}{only}")
    # The tests' registry gives an image the id that it has in the engine.
    return [*words, container["image"].partition("@")[2], *container["args"]]


class Kubelet:
    """The Job controller, the scheduler and the one node of the cluster."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.tasks: dict[str, asyncio.Task[None]] = {}

    async def work(self) -> None:
        while True:
            for (resource, namespace, name), job in list(self.server.objects.items()):
                if resource != JOBS or job.deleted:
                    continue
                uid = job.raw["metadata"]["uid"]
                if job.raw["metadata"].get("deletionTimestamp"):
                    await self.remove(namespace, name, uid)
                elif uid not in self.tasks:
                    self.tasks[uid] = asyncio.create_task(self.do(namespace, name, job))
            await asyncio.sleep(0.1)

    async def do(self, namespace: str, name: str, job: Any) -> None:
        """Make pods for a Job until one has ended for good."""
        template = job.raw["spec"]["template"]
        while True:
            pod_name = f"{name[:50]}-{uuid.uuid4().hex[:5]}"
            labels = {**template["metadata"]["labels"], "job-name": name}
            key = (PODS, namespace, pod_name)
            self.server.objects[key] = {
                "metadata": {"name": pod_name, "namespace": namespace, "labels": labels, "creationTimestamp": now()},
                "spec": dict(template["spec"]),
                "status": {"phase": "Pending"},
            }
            pod = self.server.objects[key]
            while is_set("hold"):
                unscheduled = {
                    "type": "PodScheduled",
                    "status": "False",
                    "reason": "Unschedulable",
                    "message": "0/1 nodes",
                }
                pod.patch({"status": {"conditions": [unscheduled]}})
                await asyncio.sleep(0.1)
            end = await self.run_pod(pod_name, pod, template["spec"])
            if end != "disrupted":
                break
        kind, reason = ("Complete", "") if end == "ok" else ("Failed", "BackoffLimitExceeded")
        job.patch({"status": {"conditions": [{"type": kind, "status": "True", "reason": reason}]}})

    async def run_pod(self, name: str, pod: Any, spec: dict[str, Any]) -> str:
        """Run a pod's container to its end: ok, failed, or disrupted."""
        code, output = await run(*docker_command(name, spec))
        if code:
            waiting = {"reason": "CreateContainerError", "message": output.decode(errors="replace")[-300:]}
            pod.patch({"status": {"containerStatuses": [{"state": {"waiting": waiting}}]}})
            await asyncio.Event().wait()  # until the Job is deleted
        pod.patch({"spec": {"nodeName": "node-1"}, "status": {"phase": "Running", "conditions": []}})
        waiting_for = asyncio.create_task(run("docker", "wait", name))
        begin, reason, condition = asyncio.get_running_loop().time(), "", []
        while not waiting_for.done():
            await asyncio.sleep(0.05)
            too_long = asyncio.get_running_loop().time() - begin > spec["activeDeadlineSeconds"]
            if too_long or is_set("disrupt"):
                reason = "DeadlineExceeded" if too_long else ""
                condition = [] if too_long else [{"type": "DisruptionTarget", "status": "True"}]
                (STATE / "disrupt").unlink(missing_ok=True)
                await run("docker", "kill", name)
                await waiting_for
        _, output = await waiting_for
        exit_code = int(output)
        oom = (await run("docker", "inspect", "--format={{.State.OOMKilled}}", name))[1].strip() == b"true"
        terminated = {
            "exitCode": exit_code,
            "reason": "OOMKilled" if oom else "Completed" if exit_code == 0 else "Error",
        }
        status = {
            "phase": "Failed" if exit_code else "Succeeded", "conditions": condition, "reason": reason,
            "containerStatuses": [{"state": {"terminated": terminated}}],
        }  # fmt: skip
        pod.patch({"status": {key: value for key, value in status.items() if value}})
        return "disrupted" if condition else "failed" if exit_code else "ok"

    async def remove(self, namespace: str, job: str, uid: str) -> None:
        """End the pods of a Job, and only then the Job."""
        if (task := self.tasks.pop(uid, None)) is not None:
            task.cancel()
        for (resource, _, name), pod in list(self.server.objects.items()):
            if resource == PODS and not pod.deleted and pod.raw["metadata"]["labels"]["job-name"] == job:
                await run("docker", "stop", "--time=30", name)
                await run("docker", "rm", "--force", name)
                pod.delete()
        self.server.objects[JOBS, namespace, job].delete()


async def read_output(request: Any) -> bytes:
    """The output of a pod's container, sorted by time as a kubelet keeps it."""
    pod = request.name
    since = [f"--since={request.params['sinceSeconds']}s"] if "sinceSeconds" in request.params else []
    code, output = await run("docker", "logs", "--timestamps", *since, pod)
    if code:
        raise kmock.KubernetesError(status=400, reason="BadRequest", message="the container has not started")
    return b"".join(sorted(output.splitlines(keepends=True)))


async def main() -> None:
    if shutil.which("docker") is None:
        sys.exit("docker: must be on the path, but is not")
    server = Server()
    server.resources["batch/v1/jobs"] = {}
    server.resources["v1/pods"] = {}
    server[kmock.resource("v1/pods"), kmock.subresource("log")] << read_output
    async with server, kmock.Server(server) as front:
        part = STATE / ".address"
        part.write_text(json.dumps(str(front.url)))
        part.rename(STATE / "address")
        await Kubelet(server).work()


asyncio.run(main())
