"""ST++'s ranking of unlabelled images by how stable their prediction was."""

import copy
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.dist import (
    barrier,
    broadcast_object_list,
    is_main_process,
    master_only,
)
from mmengine.runner import Runner
from torch import nn

from mmsemi.datasets import UnlabeledDataset
from mmsemi.datasets.atomic import replacing, write_splits
from mmsemi.engine.unwrap import unwrapped
from mmsemi.labeling.image_batches import image_ids, plan_batches
from mmsemi.labeling.images import refuse_labeled
from mmsemi.labeling.networks import choose_networks, make_manifest
from mmsemi.labeling.reliability import score_images, split_by_score
from mmsemi.registry import HOOKS

from .labeling_hook import ImagesHook


@HOOKS.register_module()
class ReliabilityHook(ImagesHook):
    """Split a list of images into a reliable and an unreliable half.

    ST++ (CVPR 2022): networks saved at K equally distant steps of the training
    predict each image (one scale, no flip, at its own size); the score is the mean
    mIoU of the K - 1 earlier label maps with the last. The list is sorted by the
    score, descending and stable; the first floor(N/2) images go to
    ``reliable.txt``, the others to ``unreliable.txt``, both in ranked order, and
    all scores to ``scores.json``. With several networks, as BST's branches, the
    score is the mean of theirs (our reading; the sources do not say).

    The weights are kept in ``<work_dir>/reliability/iter_<n>.pth``.

    Args:
        dataset: See :class:`ImagesHook`; the list to split.
        num_checkpoints: K, at least 2. Defaults to 3.
        networks: Names of the networks that are asked. By default the one that the
            method predicts on, or all if it predicts on a fusion.
        batch_size: Images of equal size in a batch. By default up to 8 on a GPU, 1 on a
            CPU.
        **shared: ``part``, ``out_dir`` (the work dir) and ``num_workers`` of
            :class:`ImagesHook`.

    Raises:
        ValueError: Before the first step: K is below 2, the training has too few
            iterations for K checkpoints, the list has one image or images with
            true labels.
        FileNotFoundError: A resumed run has lost the weights of an earlier step.
    """

    # before the labels are made of the lists, after a teacher has moved
    priority = 'BELOW_NORMAL'

    def __init__(
        self,
        dataset: Mapping[str, Any] | None = None,
        *,
        num_checkpoints: int = 3,
        networks: Sequence[str] | None = None,
        batch_size: int | None = None,
        **shared: Any,
    ) -> None:
        super().__init__(dataset, **shared)
        if num_checkpoints < 2:
            raise ValueError(
                f'ReliabilityHook num_checkpoints={num_checkpoints}: give at least 2, '
                'since earlier predictions are compared with the last'
            )
        self.num_checkpoints = num_checkpoints
        self.networks = networks
        self.batch_size = batch_size

    def before_train(self, runner: Runner) -> None:
        """Check what can be known before the first step."""
        total = self.num_checkpoints
        if runner.max_iters < total:
            raise ValueError(
                f'ReliabilityHook: too few iterations for {total} checkpoints '
                f'({runner.max_iters}): train for at least {total}, or set '
                'num_checkpoints'
            )
        choose_networks(unwrapped(runner), self.networks)
        dataset = self.images(runner)
        image_ids(dataset)
        plan_batches(dataset)
        if runner.iter == 0 and is_main_process():
            # of an earlier run in this folder
            for path in Path(runner.work_dir, 'reliability').glob('iter_*.pth'):
                path.unlink()
        for step in self._steps(runner):
            path = self._path(runner, step)
            if step <= runner.iter and not path.is_file():
                raise FileNotFoundError(
                    f'{path} is missing: it was to be written at iteration {step}, '
                    'before the checkpoint that is resumed; restore it, or train '
                    'from the start'
                )

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: object = None,
        outputs: object = None,
    ) -> None:
        """Keep the networks at the K steps."""
        if runner.iter + 1 in self._steps(runner):
            self._save(runner, runner.iter + 1)

    def after_train(self, runner: Runner) -> None:
        """Rank the images and write the lists."""
        barrier()
        dataset = self.images(runner)
        ids = image_ids(dataset)
        snapshots = self._load(runner)
        manifest = self._manifest(runner, snapshots, dataset)
        scores = self._known_scores(runner, manifest, ids)
        if scores is None:
            runner.logger.info(f'Scoring the reliability of {len(ids)} images')
            scores = score_images(
                snapshots,
                dataset,
                preprocessor=unwrapped(runner).data_preprocessor,
                batch_size=self.batch_size,
                num_workers=self.num_workers,
            ).tolist()
        if is_main_process():
            self._write(runner, manifest, ids, scores)
        barrier()

    def _steps(self, runner: Runner) -> list[int]:
        """Return the numbers of steps done at which the networks are kept."""
        total = self.num_checkpoints
        return [k * runner.max_iters // total for k in range(1, total + 1)]

    def images(self, runner: Runner) -> UnlabeledDataset:
        """Build the images, and refuse those that have true labels, or a single one."""
        dataset = super().images(runner)
        refuse_labeled(dataset, runner.train_dataloader.dataset)
        if len(dataset) < 2:
            raise ValueError(
                f'{dataset.ann_file or dataset.data_prefix.get("img_path")} has one '
                'image: two halves need at least two'
            )
        return dataset

    def _path(self, runner: Runner, step: int) -> Path:
        return Path(runner.work_dir, 'reliability', f'iter_{step}.pth')

    @master_only
    def _save(self, runner: Runner, step: int) -> None:
        networks = choose_networks(unwrapped(runner), self.networks)
        weights = {name: network.state_dict() for name, network in networks.items()}
        # whole in memory first: torch does not say which file it could not write
        buffer = io.BytesIO()
        torch.save(weights, buffer)
        with replacing(self._path(runner, step)) as aside:
            aside.write_bytes(buffer.getvalue())

    def _load(self, runner: Runner) -> list[dict[str, nn.Module]]:
        """Return copies of the networks, in eval mode, as they were at each step."""
        networks = choose_networks(unwrapped(runner), self.networks)
        snapshots = []
        for step in self._steps(runner):
            weights = torch.load(
                self._path(runner, step), map_location='cpu', weights_only=True
            )
            copies = {name: copy.deepcopy(net) for name, net in networks.items()}
            for name, network in copies.items():
                network.load_state_dict(weights[name])
                network.eval()
            snapshots.append(copies)
        return snapshots

    def _manifest(
        self, runner: Runner, snapshots: list[dict[str, nn.Module]], dataset: Any
    ) -> dict[str, Any]:
        """Describe what the scores are made of."""
        named = {
            f'{name} at {step}': network
            for step, copies in zip(self._steps(runner), snapshots, strict=True)
            for name, network in copies.items()
        }
        return make_manifest(named, dataset, {}, {})

    def _known_scores(
        self, runner: Runner, manifest: dict, ids: list[str]
    ) -> list[float] | None:
        """Return the scores of a run that was cut after they were computed."""
        found: list[list[float] | None] = [None]
        path = self.folder(runner) / 'scores.json'
        if is_main_process() and path.is_file():
            known = json.loads(path.read_text('utf-8'))
            if known['made_of'] == json.loads(json.dumps(manifest)):
                found[0] = [known['scores'][name] for name in ids]
        broadcast_object_list(found)
        return found[0]

    def _write(
        self, runner: Runner, manifest: dict, ids: list[str], scores: list[float]
    ) -> None:
        folder = self.folder(runner)
        reliable, unreliable = split_by_score(ids, scores)
        lists = {
            folder / 'reliable.txt': reliable,
            folder / 'unreliable.txt': unreliable,
        }
        write_splits(lists, force=True)
        by_id = dict(zip(ids, scores, strict=True))
        ranked = {name: by_id[name] for name in reliable + unreliable}
        with replacing(folder / 'scores.json') as aside:
            content = json.dumps(dict(scores=ranked, made_of=manifest), indent=1)
            aside.write_text(content + '\n', 'utf-8')
        runner.logger.info(
            f'{folder}: reliable.txt has {len(reliable)} images of scores from '
            f'{ranked[reliable[0]]:.3f} to {ranked[reliable[-1]]:.3f}, unreliable.txt '
            f'the other {len(unreliable)}, down to {ranked[unreliable[-1]]:.3f}'
        )
