"""The README's moving picture: the policy trained on human demonstrations, eight test seeds.

python -m benchmarks.picture
"""

from callbacks.rollouts import FIRST_TEST_SEED, run_policy
from envs import video
from lightning_modules.pretrained import load_pretrained


def main() -> None:
    episodes = run_policy(load_pretrained("pretrained/pusht_human"), range(FIRST_TEST_SEED, FIRST_TEST_SEED + 8))
    print(video.write("docs/pusht.gif", video.wall(episodes, columns=4, size=160)))


if __name__ == "__main__":
    main()
