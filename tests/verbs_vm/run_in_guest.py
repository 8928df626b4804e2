"""Runs a test program in a guest that has RDMA devices: Debian's kernel with Soft-RoCE, under QEMU's emulation, so neither
hardware nor KVM nor root is needed. README.md has the picture. Exits with the program's status, or 77 (skipped) with the reason.

    run_in_guest.py --guest FOLDER --job FOLDER [--loss PERCENT] PROGRAM [ARGUMENT ...]
"""

import argparse
import fcntl
import lzma
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import zlib

SKIPPED = 77
# Under AddressSanitizer on a loaded machine the whole suite takes two minutes.
GUEST_SECONDS = 420
MODULES = "virtio_pci 9pnet_virtio 9p crc32_generic crc32c_generic rdma_rxe ib_uverbs veth sch_netem".split()
# What of the kernel's package is unpacked; whole it takes 400 MB.
KERNEL_PARTS = ["./boot/vmlinuz-*"] + ["./lib/modules/*/" + part for part in (
    "modules.*", "kernel/drivers/infiniband/core/*", "kernel/drivers/infiniband/sw/*", "kernel/net/9p/*", "kernel/fs/9p/*",
    "kernel/fs/fscache/*", "kernel/fs/netfs/*", "kernel/net/ipv4/udp_tunnel.ko", "kernel/net/ipv6/ip6_udp_tunnel.ko",
    "kernel/crypto/crc32*", "kernel/arch/x86/crypto/crc32*", "kernel/drivers/virtio/*", "kernel/drivers/net/veth.ko",
    "kernel/net/sched/sch_netem.ko")]


def skip(reason):
    print(f"skipped: {reason}")
    sys.exit(SKIPPED)


def check_programs():
    for program, package in (("qemu-system-x86_64", "qemu-system-x86"), ("busybox", "busybox-static"), ("cpio", "cpio"),
                             ("depmod", "kmod"), ("modprobe", "kmod"), ("rdma", "iproute2"), ("dpkg-deb", "dpkg"),
                             ("apt-get", "apt")):
        if shutil.which(program) is None:
            skip(f"no {program}; install {package}")
    if not list(pathlib.Path("/usr/lib").glob("*/libibverbs/librxe-*.so")):
        skip("no driver for Soft-RoCE; install ibverbs-providers")


def download_kernel(folder):
    """Path of the package of Debian's generic kernel. (The cloud kernel has no Soft-RoCE.)"""
    depends = subprocess.run(["apt-cache", "depends", "linux-image-amd64"], capture_output=True, text=True).stdout
    found = re.search(r"Depends: (linux-image-\S+)", depends)
    if not found:
        skip("apt knows no linux-image-amd64; Debian's kernel for x86-64 is needed")
    name = found.group(1)
    if not list(folder.glob(f"{name}_*.deb")):
        command = ["apt-get", "-o", "APT::Sandbox::User=root", "-qq", "download", name]
        if subprocess.run(command, cwd=folder).returncode != 0:
            skip(f"the package {name} cannot be downloaded")
    return next(folder.glob(f"{name}_*.deb"))


def uncompressed_kernel(image):
    """The ELF file inside a bzImage: emulated, the kernel would take far longer to unpack itself."""
    for magic, unpack in ((b"\xfd7zXZ\x00", lambda data: lzma.LZMADecompressor(lzma.FORMAT_XZ).decompress(data)),
                          (b"\x1f\x8b\x08", lambda data: zlib.decompressobj(31).decompress(data))):
        start = image.find(magic)
        while start >= 0:
            try:
                kernel = unpack(image[start:])
                if kernel.startswith(b"\x7fELF"):
                    return kernel
            except (lzma.LZMAError, zlib.error):
                pass  # the magic bytes stood there by chance
            start = image.find(magic, start + 1)
    skip("the kernel is packed in a way that is not known here (wanted xz or gzip)")


def copy_modules(unpacked, root):
    """The modules and what they depend on, and the order to load them in."""
    version = next((unpacked / "lib/modules").iterdir()).name
    subprocess.run(["depmod", "-b", unpacked, version], stderr=subprocess.DEVNULL, check=True)
    order = []
    for module in MODULES:
        shown = subprocess.run(["modprobe", "-d", unpacked, "-S", version, "--show-depends", module],
                               capture_output=True, text=True).stdout
        for path in re.findall(r"^insmod (\S+)", shown, re.MULTILINE):
            if path not in order:
                order.append(path)
                shutil.copy(path, root / "modules")
    (root / "modules/order").write_text("".join(pathlib.Path(path).name + "\n" for path in order))


def build_guest(guest):
    """Kernel and first root file system in `guest`, made once; test runs side by side wait for the one that makes it."""
    guest.mkdir(parents=True, exist_ok=True)
    with open(guest / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        init = pathlib.Path(__file__).with_name("guest_init")
        newest = max(init.stat().st_mtime, pathlib.Path(__file__).stat().st_mtime)
        initramfs = guest / "initramfs"
        if initramfs.exists() and initramfs.stat().st_mtime > newest:
            return
        package = download_kernel(guest)
        unpacked, root = guest / "unpacked", guest / "root"
        for folder in (unpacked, root):
            shutil.rmtree(folder, ignore_errors=True)
        unpacked.mkdir()
        for folder in ("bin", "modules", "proc", "sys", "dev", "host"):
            (root / folder).mkdir(parents=True)
        archive = subprocess.Popen(["dpkg-deb", "--fsys-tarfile", package], stdout=subprocess.PIPE)
        subprocess.run(["tar", "-x", "-C", unpacked, "--wildcards", *KERNEL_PARTS], stdin=archive.stdout,
                       stderr=subprocess.DEVNULL)  # a part that this kernel has built in is not there
        archive.wait()
        (guest / "vmlinux").write_bytes(uncompressed_kernel(next(unpacked.glob("boot/vmlinuz-*")).read_bytes()))
        copy_modules(unpacked, root)
        shutil.copy(shutil.which("busybox"), root / "bin/busybox")
        (root / "bin/sh").symlink_to("busybox")
        shutil.copy(init, root / "init")
        (root / "init").chmod(0o755)
        files = "\0".join(str(path.relative_to(root)) for path in sorted(root.rglob("*")))
        with open(guest / "initramfs.new", "wb") as out:
            subprocess.run(["cpio", "--null", "-o", "-H", "newc", "--quiet"], cwd=root, input=files.encode(), stdout=out,
                           check=True)
        (guest / "initramfs.new").rename(initramfs)
        for folder in (unpacked, root):
            shutil.rmtree(folder)


def write_job(job, program, arguments, loss):
    """The job's folder: the program (most of the host's folders are covered by fresh ones in the guest) and what to do."""
    shutil.rmtree(job, ignore_errors=True)
    job.mkdir(parents=True)
    shutil.copy(program, job / "program")
    lines = ["export SWITCHYARD_TEST_RDMA_DEVICES=rxe0,rxe1"]
    for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS"):
        if name in os.environ:
            lines.append(f"export {name}={shlex.quote(os.environ[name])}")
    if loss > 0:
        lines += [f"tc qdisc add dev cable{end} root netem loss {loss}% || exit 1" for end in (0, 1)]
    lines.append(shlex.join(["./program", *arguments]) + " >output 2>&1")
    lines += ["status=$?", "tc -s qdisc show dev cable0 >cable", "exit $status"]
    (job / "job.sh").write_text("\n".join(lines) + "\n")


def run_guest(guest, job):
    """Status of the job, or None when the guest gave none."""
    console = job / "console"
    share = "security_model=none,multidevs=remap"
    command = ["qemu-system-x86_64", "-accel", "tcg,thread=multi,tb-size=256", "-machine", "q35", "-cpu", "max", "-smp", "2",
               "-m", "1536", "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-serial", f"file:{console}",
               "-kernel", guest / "vmlinux", "-initrd", guest / "initramfs", "-append",
               "console=ttyS0 quiet panic=-1 mitigations=off nokaslr no_timer_check tsc=reliable cryptomgr.notests "
               "random.trust_cpu=on",
               "-fsdev", f"local,id=host,path=/,readonly=on,{share}", "-device", "virtio-9p-pci,fsdev=host,mount_tag=host",
               "-fsdev", f"local,id=job,path={job},security_model=none", "-device", "virtio-9p-pci,fsdev=job,mount_tag=job",
               "-device", "virtio-rng-pci"]
    try:
        subprocess.run(command, timeout=GUEST_SECONDS)
    except subprocess.TimeoutExpired:
        print(f"the guest was still running after {GUEST_SECONDS} s")
    text = console.read_text(errors="replace") if console.exists() else ""
    status = re.search(r"guest: status (\d+)", text)
    if status is None:
        print("the guest gave no status; its console ends:\n" + text[-2000:])
        return None
    return int(status.group(1))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--guest", type=pathlib.Path, required=True, help="where kernel and root are kept between runs")
    parser.add_argument("--job", type=pathlib.Path, required=True, help="emptied, then shared with the guest")
    parser.add_argument("--loss", type=float, default=0, help="percent of packets lost between the two devices")
    parser.add_argument("program")
    parser.add_argument("arguments", nargs=argparse.REMAINDER)
    options = parser.parse_args()
    check_programs()
    guest, job = options.guest.resolve(), options.job.resolve()
    build_guest(guest)
    write_job(job, options.program, options.arguments, options.loss)
    status = run_guest(guest, job)
    if status is None:  # an emulated guest now and then stops on its way up
        status = run_guest(guest, job)
    output = (job / "output").read_text(errors="replace") if (job / "output").exists() else "the program wrote nothing"
    print(output)
    if status == 0 and "[  SKIPPED ]" in output:
        print("a test skipped in the guest, which is there to run it")
        status = 1
    if status == 0 and options.loss > 0 and not re.search(r"dropped [1-9]", (job / "cable").read_text()):
        print("the cable lost nothing, although it was told to")
        status = 1
    sys.exit(1 if status is None else status)


if __name__ == "__main__":
    main()
