from cli.command_words import says, split


def test_words_of_a_part_are_told_apart():
    args = ["fit", "--model.lr", "1", "--data.x=2", "--model.net.init_args.width=3", "--models", "4", "--model=A"]
    others, own = split(args, "model")
    assert others == ["fit", "--data.x=2", "--models", "4"]
    assert own == ["--model.lr", "1", "--model.net.init_args.width=3", "--model=A"]
    assert says(own, "model.lr")
    assert says(own, "model.net.width")
    assert says(own, "model.net")
    assert not says(own, "model.depth")
    assert not says(["--model.lr_min", "1"], "model.lr")
    assert says(["--model.options", "{a: 1}"], "model.options.a")
    assert says(["--model={class_path: A}"], "model.lr")
