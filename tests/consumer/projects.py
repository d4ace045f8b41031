"""How projects outside of the tree are built."""
import subprocess


def sh(*command, **options):
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, timeout=600, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


class Together:
    """Projects in one build tree, which precompiles ATen.h once: that takes longer than all else. Each has its own files, and its plugin, where
    they are when it is built alone, as the tutorial's two and test_consumer's first are."""

    def __init__(self, folder, prefix):
        self.folder, self.prefix, self.projects = folder, prefix, []

    def build(self, project, plugin):
        """Of a project with this plugin: the finished command."""
        if project not in self.projects:
            self.projects.append(project)
            (self.folder / "CMakeLists.txt").write_text("cmake_minimum_required(VERSION 3.25)\nproject(together LANGUAGES C CXX)\n" + "".join(
                f'add_subdirectory("{p}" "{p}/build")\n' for p in self.projects))
            sh("cmake", "-S", self.folder, "-B", self.folder / "build", "-G", "Ninja", f"-DCMAKE_PREFIX_PATH={self.prefix}")
        return subprocess.run(["cmake", "--build", self.folder / "build", "--target", f"plugin-{plugin}"], capture_output=True, text=True, timeout=600)

    def built(self, project, plugin):
        done = self.build(project, plugin)
        assert done.returncode == 0, done.stdout + done.stderr
        return project / f"build/{plugin}.so"
